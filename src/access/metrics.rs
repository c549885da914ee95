//! What the gateway counts, for Prometheus.

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// Every metric of the gateway. Labels have few, fixed values: no identity and no element is one.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Connections accepted, by door.
    pub connections: IntCounterVec,
    /// Clients turned away before they could ask, by stage.
    pub refusals: IntCounterVec,
    /// Decisions, by effect.
    pub decisions: IntCounterVec,
    /// Sessions that ended, by outcome.
    pub sessions: IntCounterVec,
    /// Sessions open now, by protocol.
    pub live: IntGaugeVec,
    /// Bytes relayed, by direction.
    pub bytes: IntCounterVec,
    /// Times policy was reloaded, by result.
    pub reloads: IntCounterVec,
    /// From the request to the element's answer.
    pub open_seconds: Histogram,
    /// Decisions that the index and casbin did not agree on.
    pub disagreements: IntCounter,
    /// Things that should never happen.
    pub alarms: IntCounter,
    /// When what trust is made of runs out; set when the metrics are read.
    pub expires: IntGaugeVec,
    /// 1 while new sessions are taken; set when the metrics are read.
    pub ready: IntGauge,
}

impl Metrics {
    /// The metrics, all at zero.
    ///
    /// # Errors
    /// Two metrics have one name: a mistake in this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, label: &str| -> Result<IntCounterVec, prometheus::Error> {
            let metric = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let connections = counters("sallyport_connections_total", "Connections accepted.", "door")?;
        let refusals = counters("sallyport_refusals_total", "Clients turned away before they could ask.", "stage")?;
        let decisions = counters("sallyport_decisions_total", "Policy decisions.", "effect")?;
        let sessions = counters("sallyport_sessions_total", "Sessions that ended.", "outcome")?;
        let bytes =
            counters("sallyport_relayed_bytes_total", "Bytes relayed between clients and elements.", "direction")?;
        let reloads = counters("sallyport_policy_reloads_total", "Reloads of the policy set.", "result")?;
        let live = IntGaugeVec::new(Opts::new("sallyport_live_sessions", "Sessions open now."), &["protocol"])?;
        let open_seconds = Histogram::with_opts(
            HistogramOpts::new("sallyport_session_open_seconds", "From a client's request to the element's answer.")
                .buckets(vec![0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0]),
        )?;
        let disagreements = IntCounter::new(
            "sallyport_policy_engine_disagreements_total",
            "Decisions that the policy index and casbin did not agree on; each was denied.",
        )?;
        let alarms =
            IntCounter::new("sallyport_alarms_total", "Things that should never happen, answered by denying.")?;
        let ready = IntGauge::new("sallyport_ready", "Whether new sessions are taken.")?;
        let expires = IntGaugeVec::new(
            Opts::new(
                "sallyport_trust_expires_timestamp_seconds",
                "When the gateway's certificate, the first revocation list and the first authority run out.",
            ),
            &["what"],
        )?;
        registry.register(Box::new(expires.clone()))?;
        registry.register(Box::new(live.clone()))?;
        registry.register(Box::new(open_seconds.clone()))?;
        registry.register(Box::new(disagreements.clone()))?;
        registry.register(Box::new(alarms.clone()))?;
        registry.register(Box::new(ready.clone()))?;
        Ok(Self {
            registry,
            connections,
            refusals,
            decisions,
            sessions,
            live,
            bytes,
            reloads,
            open_seconds,
            disagreements,
            alarms,
            expires,
            ready,
        })
    }

    /// The metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut out = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut out) {
            Ok(()) => String::from_utf8_lossy(&out).into_owned(),
            Err(error) => format!("# {error}\n"),
        }
    }
}
