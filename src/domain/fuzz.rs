//! What must hold of any text in the place of a name, a URI, a moment or a span.

#![allow(clippy::panic, reason = "a property that does not hold panics")]

use std::fmt::Display;
use std::str::FromStr;

use super::data::{DataNode, DataPath, DefaultOperation, JsonData, Models, Naming, changes};
use super::{Account, Device, ElementName, Identity, SessionId, Timestamp, TrustDomain, Verb, parse_duration};

/// Data in JSON means the same whoever names the modules, and each path that it touches has one form.
pub(crate) fn json_data(data: &[u8]) {
    let read = JsonData::read(data, Naming::AsWritten);
    let inherited = JsonData::read(data, Naming::Inherited(Some("m")));
    let (Ok(JsonData::Members(nodes)), Ok(JsonData::Members(inherited))) = (&read, &inherited) else {
        assert_eq!(read.is_ok(), inherited.is_ok());
        return;
    };
    let told = |nodes: &[DataNode]| changes(&DataPath::root(), nodes, DefaultOperation::Merge, &Models::default());
    assert_eq!(told(nodes).is_ok(), told(inherited).is_ok());
    for change in told(nodes).into_iter().flatten() {
        assert_eq!(change.path.to_string().parse::<DataPath>(), Ok(change.path));
    }
}

/// What is read has a text form that is read as the same, and names nothing but plain characters.
pub(crate) fn domain_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.lines().take(64) {
        let plain = [
            again::<Account>(line),
            again::<Device>(line),
            again::<ElementName>(line),
            again::<Identity>(line),
            again::<TrustDomain>(line),
            again::<Verb>(line),
        ];
        for name in plain.into_iter().flatten() {
            assert!(name.chars().all(|c| c.is_ascii_graphic()), "{name:?}");
            assert_eq!(name, line, "a name has one spelling");
        }
        again::<SessionId>(line);
        again::<Timestamp>(line);
        if let Ok(span) = parse_duration(line) {
            assert_eq!(parse_duration(&format!("{}s", span.as_secs())), Ok(span));
        }
        // A user is never read as a device, nor the other way round.
        assert!(line.parse::<Identity>().is_err() || line.parse::<Device>().is_err());
    }
}

/// The text form, read again.
fn again<T: FromStr + Display>(line: &str) -> Option<String> {
    let value: T = line.parse().ok()?;
    let said = value.to_string();
    let Ok(again) = said.parse::<T>() else { panic!("`{line}` is said as `{said}`, which is not read") };
    assert_eq!(again.to_string(), said);
    Some(said)
}
