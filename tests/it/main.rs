//! One binary: real clients, a real gateway, real elements.
//!
//! Everything a test starts lives in its own temporary folder, listens on port 0 of loopback and ends with the test. A test that needs a
//! program says so with `need!`; where the program is missing the test says so loudly and passes, unless
//! `SALLYPORT_TEST_REQUIRE_ALL=1` (as in `.ci/run`), where it fails.

#![allow(unreachable_pub, missing_docs, reason = "one binary: nothing outside can name what is here")]
#![allow(clippy::disallowed_methods, reason = "tests read the clock: they wait on conditions with a deadline")]

mod harness;

mod browser;
mod build_facts;
mod clients;
mod commands;
mod demo;
mod dependencies;
mod dialling;
mod doors;
mod elements;
mod every_protocol;
mod floods;
mod flow;
mod forwards;
mod forwards_allowed;
mod gnmi;
mod gnmi_client;
mod hostile;
mod http_api;
mod layers;
mod legacy;
mod limits;
mod nacm;
mod netconf;
mod netconf_element;
mod obligations;
mod odd_elements;
mod policy_live;
mod proofs;
mod reading;
mod recording;
mod refusals;
mod reload;
mod restconf;
mod service;
mod setup;
mod ssh_identical;
mod subscribers;
mod threats;
mod transport;
mod trust_live;
mod vocabulary;
mod web;
mod websockets;
