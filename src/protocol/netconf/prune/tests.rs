use super::*;
use crate::domain::Verb;
use crate::domain::data::{Datastore, Model};
use crate::protocol::netconf::actions::Reading;

/// Allowed paths by their beginning, in plain text; what is inside one is all, what leads to one is some.
struct Rows(&'static [&'static str]);

impl Judge for Rows {
    fn share(&mut self, targets: &[DataTarget]) -> Share {
        let path = targets.first().expect("one").path.to_string();
        let inside = |outer: &str, inner: &str| {
            inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with(['/', '[']))
        };
        let bare = path.replace(['\''], "");
        let keyless: String = bare
            .split('[')
            .enumerate()
            .map(|(n, part)| if n == 0 { part } else { part.split_once(']').map_or("", |(_, r)| r) })
            .collect();
        if self.0.iter().any(|row| inside(row, &bare) || inside(row, &keyless)) {
            Share::All
        } else if self.0.iter().any(|row| {
            inside(&bare, row) || inside(&bare.replace("=*]", "]"), row) || row.starts_with(&format!("{keyless}/"))
        }) {
            Share::Some
        } else {
            Share::None
        }
    }
}

fn models() -> Models {
    let mut models = Models::default();
    let lists =
        vec![("/l".to_owned(), vec!["k".to_owned()]), ("/two".to_owned(), vec!["a".to_owned(), "b".to_owned()])];
    models.add(&Model { name: "m".to_owned(), namespace: "urn:m".to_owned(), lists }).expect("a model");
    models
}

fn pruned(rows: &'static [&'static str], data: &str, cut: usize) -> String {
    let reply = format!("<rpc-reply xmlns='{BASE}' message-id='1'>{data}</rpc-reply>");
    let reading = Reading { verb: Verb::NetconfGet, datastores: vec![Datastore::Running] };
    let (mut tokenizer, mut pruner, models) = (Tokenizer::new(20), Pruner::new(reading), models());
    let (mut rows, mut out) = (Rows(rows), Vec::new());
    for piece in reply.as_bytes().chunks(cut) {
        tokenizer.push(piece);
        while let Some(token) = tokenizer.next_token().expect("XML") {
            pruner.take(&token, &tokenizer, &mut Around { models: &models, judge: &mut rows }, &mut out);
        }
    }
    tokenizer.finish().expect("a whole answer");
    let out = String::from_utf8(out).expect("text");
    let inner = out.strip_prefix(&format!("<rpc-reply xmlns='{BASE}' message-id='1'>")).expect("the root is shown");
    assert_eq!(pruner.found().pruned, out != reply, "{out}");
    inner.strip_suffix("</rpc-reply>").expect("whole").to_owned()
}

#[test]
fn what_may_not_be_read_is_left_out() {
    let entry = |key: &str| format!("<l xmlns='urn:m'><k>{key}</k><x>1</x></l>");
    let (e0, e1) = (entry("e0"), entry("e1"));
    let keys_last = "<l xmlns='urn:m'><x>1</x><k>e0</k></l>";
    for (rows, data, expected) in [
        (&["/"][..], "<data><a><b>1</b></a></data>".to_owned(), "<data></data>"),
        (&["/a"], "<data><a><b>1</b></a><c/></data>".to_owned(), "<data><a><b>1</b></a></data>"),
        (&["/a/b"], "<data><a><b>1</b><c>2</c></a></data>".to_owned(), "<data><a><b>1</b></a></data>"),
        (
            &["/a/b"],
            "<data>\n <a>\n  <c>2</c>\n  <b>1</b>\n </a>\n</data>".to_owned(),
            "<data>\n <a>\n  <b>1</b>\n </a>\n</data>",
        ),
        (&["/a/b"], "<data><a><c>2</c></a></data>".to_owned(), "<data></data>"),
        (&["/a/b/c"], "<data><a><b>secret</b></a></data>".to_owned(), "<data></data>"),
        (&["/a/b/c"], "<data><a><b><![CDATA[secret]]></b></a></data>".to_owned(), "<data></data>"),
        (&["/a/b/c"], "<data><a><b/></a></data>".to_owned(), "<data></data>"),
        (&["/a/b"], "<data><a><!-- secret --><b>1</b></a></data>".to_owned(), "<data><a><b>1</b></a></data>"),
        (&["/a"], "<data>secret<a/></data>".to_owned(), "<data><a/></data>"),
        (&["/m:l[k=e1]"], format!("<data>{e0}{e1}</data>"), &format!("<data>{e1}</data>")),
        (&["/m:l[k=e1]"], format!("<data>{keys_last}</data>"), "<data></data>"),
        (&["/m:l/x"], format!("<data>{e0}</data>"), &format!("<data>{e0}</data>")),
        (&["/m:l/y"], format!("<data>{e0}</data>"), "<data></data>"),
        (&["/m:l[k=e0]/x"], format!("<data>{e1}{e0}</data>"), &format!("<data>{e0}</data>")),
        (&["/m:l[k=e0]"], "<data><l xmlns='urn:m' xmlns:e='urn:m'><k>e:0</k></l></data>".to_owned(), "<data></data>"),
        (&["/m:l[k=e0]"], "<data><l xmlns='urn:m'><k/><x>1</x></l></data>".to_owned(), "<data></data>"),
        (&["/m:l[k=e0]"], "<data><l xmlns='urn:m'/></data>".to_owned(), "<data></data>"),
        (&["/a"], "<ok/>".to_owned(), "<ok/>"),
        (&["/a"], "<rpc-error><x>y</x></rpc-error>".to_owned(), "<rpc-error><x>y</x></rpc-error>"),
        (&["/a"], "<other><x>y</x></other>".to_owned(), "<other></other>"),
        (&["/a"], "<data/>".to_owned(), "<data/>"),
    ] {
        let rows: &'static [&'static str] = Box::leak(rows.to_vec().into_boxed_slice());
        let rows = if rows == ["/"] { &["/nothing"][..] } else { rows };
        for cut in [1, 3, usize::MAX] {
            assert_eq!(pruned(rows, &data, cut), expected, "{rows:?} {data}");
        }
    }
}

proptest::proptest! {
    /// A leaf that no row allows is never in what is shown, whatever stands around it.
    #[test]
    fn a_secret_never_shows(data in "(<a>|</a>|<b>|</b>|<l xmlns='urn:m'>|</l>|<k>e0</k>|<k>e1</k>|<x>1</x>|<s>secret</s>| ){0,14}") {
        let reply = format!("<data>{data}</data>");
        if super::super::xml::read(reply.as_bytes(), super::super::xml::Limits { depth_max: 20, elements_max: 100 }).is_ok() {
            let shown = pruned(&["/a/b/x", "/m:l[k=e1]/x", "/m:l[k=e1]/a/x"], &reply, 5);
            proptest::prop_assert!(!shown.contains("secret") && !shown.contains(">e0<"), "{}", shown);
            let shown = format!("<data>{}", shown.trim_start_matches("<data>"));
            let whole = super::super::xml::read(shown.as_bytes(), super::super::xml::Limits { depth_max: 20, elements_max: 100 });
            proptest::prop_assert!(whole.is_ok(), "{}", shown);
        }
    }
}
