//! Data resource identifiers (RFC 8040 §3.5.3) and the paths that they are. Pure.

use std::fmt::Write as _;

use crate::domain::ParseError;
use crate::domain::data::{DataPath, Models, Step};
use crate::protocol::web::path::{decoded, encoded};

/// A path in a data tree, and its one form as a part of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The path.
    pub path: DataPath,
    /// Its form in a URL: empty for the root, otherwise it begins with `/`.
    pub url: String,
}

/// Reads the segments of a URL that stand behind `data`, as they were sent.
///
/// # Errors
/// A first segment without a module, a name that is none, other keys than the model has, a value that could be read as a path upwards.
pub fn resource(raw: &[&str], models: &Models) -> Result<Resource, ParseError> {
    resource_below(&DataPath::root(), raw, models)
}

/// The same, of segments that go on from `base`.
///
/// # Errors
/// As [`resource`].
pub fn resource_below(base: &DataPath, raw: &[&str], models: &Models) -> Result<Resource, ParseError> {
    let (mut path, mut url) = (base.clone(), String::new());
    let mut module = base.steps().last().and_then(Step::module).map(str::to_owned);
    for segment in raw {
        let (name, keys) = segment.split_once('=').map_or((*segment, None), |(name, keys)| (name, Some(keys)));
        let name = decoded(name).map_err(bad)?;
        let (own, local) = name.split_once(':').map_or((None, name.as_str()), |(own, local)| (Some(own), local));
        let own = own.map(str::to_owned).or(module).ok_or_else(|| {
            ParseError::new(format!("`{}` needs its module, as in ietf-interfaces:interfaces", local.escape_debug()))
        })?;
        let mut step = Step::named(Some(&own), local)?;
        // Written where the client wrote it: elements differ in whether they take what is not needed.
        let written = if name.contains(':') { format!("{own}:{local}") } else { local.to_owned() };
        write!(url, "/{written}").map_err(bad)?;
        let known = models.keys_of(&path.child(step.clone())?).to_vec();
        if let Some(keys) = keys {
            let values = keys.split(',').map(value).collect::<Result<Vec<_>, _>>()?;
            for (value, mark) in values.iter().zip(std::iter::once('=').chain(std::iter::repeat(','))) {
                write!(url, "{mark}{}", encoded(value, b"")).map_err(bad)?;
            }
            step = if known.is_empty() {
                step.with_values(values)?
            } else if known.len() == values.len() {
                step.with_keys(known.into_iter().zip(values.into_iter().map(Some)).collect())?
            } else {
                return Err(ParseError::new(format!("`{local}` has {} keys: {}", known.len(), known.join(", "))));
            };
        }
        path = path.child(step)?;
        module = Some(own);
    }
    Ok(Resource { path, url })
}

/// The value of one key.
fn value(raw: &str) -> Result<String, ParseError> {
    let value = decoded(raw).map_err(bad)?;
    // SECURITY: a server that undoes encoding before it looks at segments must not be led elsewhere.
    if value.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(ParseError::new("the value of a key may not hold `/./` or `/../`"));
    }
    Ok(value)
}

fn bad(error: impl std::fmt::Display) -> ParseError {
    ParseError::new(error.to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::data::Model;

    pub(in super::super) fn models() -> Models {
        let mut models = Models::default();
        for (name, list, keys) in
            [("ifs", "/interfaces/interface", &["name"][..]), ("rt", "/routes/route", &["prefix", "hop"])]
        {
            let lists = vec![(list.to_owned(), keys.iter().map(|k| (*k).to_owned()).collect())];
            models.add(&Model { name: name.to_owned(), namespace: String::new(), lists }).expect("a model");
        }
        models
    }

    fn read(url: &str) -> Result<Resource, ParseError> {
        let raw: Vec<&str> = url.split('/').skip(1).collect();
        resource(&raw, &models())
    }

    #[test]
    fn resources_are_the_paths_of_the_models() {
        for (url, path, again) in [
            ("/ifs:interfaces", "/ifs:interfaces", "/ifs:interfaces"),
            ("/%69fs:interfaces", "/ifs:interfaces", "/ifs:interfaces"),
            (
                "/ifs:interfaces/interface=eth0/mtu",
                "/ifs:interfaces/interface[name='eth0']/mtu",
                "/ifs:interfaces/interface=eth0/mtu",
            ),
            (
                "/ifs:interfaces/ifs:interface=ge%2f0",
                "/ifs:interfaces/interface[name='ge/0']",
                "/ifs:interfaces/ifs:interface=ge%2F0",
            ),
            (
                "/ifs:interfaces/interface=a%2Cb",
                "/ifs:interfaces/interface[name='a,b']",
                "/ifs:interfaces/interface=a%2Cb",
            ),
            ("/ifs:interfaces/interface=", "/ifs:interfaces/interface[name='']", "/ifs:interfaces/interface="),
            (
                "/ifs:interfaces/interface=a=b",
                "/ifs:interfaces/interface[name='a=b']",
                "/ifs:interfaces/interface=a%3Db",
            ),
            ("/ifs:interfaces/interface/mtu", "/ifs:interfaces/interface/mtu", "/ifs:interfaces/interface/mtu"),
            (
                "/rt:routes/route=10.0.0.0%2F8,1.1.1.1",
                "/rt:routes/route[hop='1.1.1.1'][prefix='10.0.0.0/8']",
                "/rt:routes/route=10.0.0.0%2F8,1.1.1.1",
            ),
            ("/rt:routes/route=,", "/rt:routes/route[hop=''][prefix='']", "/rt:routes/route=,"),
            ("/x:a/list=1,2/y:b", "/x:a/list[1='1'][2='2']/y:b", "/x:a/list=1,2/y:b"),
            (
                "/ifs:interfaces/interface=it's",
                "/ifs:interfaces/interface[name='it\\'s']",
                "/ifs:interfaces/interface=it%27s",
            ),
        ] {
            let found = read(url).unwrap_or_else(|e| panic!("{url}: {e}"));
            assert_eq!((found.path.to_string().as_str(), found.url.as_str()), (path, again), "{url}");
            assert_eq!(read(again).as_ref(), Ok(&found), "{again}");
        }
        assert_eq!(resource(&[], &models()).map(|r| r.path), Ok(DataPath::root()));
    }

    #[test]
    fn resources_that_are_refused() {
        let deep = format!("/x:a{}", "/b".repeat(60));
        for url in [
            "/interfaces",
            "/:interfaces",
            "/ifs:",
            "/ifs:inter faces",
            "/ifs:a:b",
            "/ifs:interfaces/interface=a,b",
            "/rt:routes/route=a",
            "/rt:routes/route=a,b,c",
            "/ifs:interfaces/interface=%00",
            "/ifs:interfaces/interface=%252F",
            "/ifs:interfaces/interface=%ff",
            "/ifs:interfaces/interface=..",
            "/ifs:interfaces/interface=a%2F..%2Fb",
            "/ifs:interfaces/interface=%2F.%2F",
            "/ifs:interfaces/interface=a%5Cb",
            "/ifs:interfaces/=a",
            "/ifs:interfaces/*",
            "/ifs:interfaces/**",
            "/ifs:interfaces/interface[name='x']",
            "/ifs:interfaces/1a",
            "/%2A:a",
            "/ifs%3Aa%2Fb",
            &deep,
        ] {
            assert!(read(url).is_err(), "{url}");
        }
    }

    proptest::proptest! {
        #[test]
        fn one_form(url in "/[ab]:[ab](/([ab]:)?[ab](=[a%2F,c=]{0,6})?){0,3}") {
            if let Ok(found) = read(&url) {
                proptest::prop_assert_eq!(read(&found.url), Ok(found));
            }
        }

        #[test]
        fn any_value_of_a_key_arrives(value in "\\PC{0,20}") {
            let url = format!("/ifs:interfaces/interface={}", encoded(&value, b""));
            if let Ok(found) = read(&url) {
                let step = found.path.steps().last().expect("two").clone();
                let expected = Step::named(Some("ifs"), "interface").and_then(|s| s.with_keys(vec![("name".to_owned(), Some(value))]));
                proptest::prop_assert_eq!(Ok(step), expected);
            }
        }
    }
}
