//! `sallyport policy import-nacm`: the access rules that an element has, as rows of ours.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::domain::data::{DataNode, JsonData, Models, Naming};
use crate::policy::nacm::{Accept, Imported, Nacm, Node, Options, Prefix, Unsaid, import};
use crate::policy::read_models;
use crate::protocol::netconf::xml::{self, Element, Limits};

use super::{Exit, Failure};

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// What one file may take.
const LIMITS: Limits = Limits { depth_max: 64, elements_max: 500_000 };
/// Where NACM stands in XML.
const NAMESPACE: &str = "urn:ietf:params:xml:ns:yang:ietf-netconf-acm";
/// How many nodes may stand around it: `rpc-reply`, `data`.
const AROUND_MAX: usize = 4;

/// Turn the NACM rules of an element (RFC 8341) into rows
///
/// FILE holds a `nacm` container, as an answer to get-config has it in XML, or RESTCONF in JSON (RFC 7951). NACM takes the first rule that
/// matches; in rows every deny wins. What rows cannot say is left out, so that they never allow what NACM denies, and is reported.
///
/// Exit codes: 0 the rows say all of it, 1 something could not be said, 2 the file cannot be read.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The rules; `-` is standard input
    file: PathBuf,
    /// A new folder for policy.csv, models.toml and report.txt; `-` is standard output, for the rows and the report as comments
    #[arg(long, value_name = "DIR", default_value = "-")]
    out: PathBuf,
    /// The elements that the rows are for, as rows name them
    #[arg(long, value_name = "element:NAME|group:NAME", default_value = "group:nacm")]
    element: String,
    /// The role of people who are in no group of NACM, for what its defaults permit
    #[arg(long, value_name = "role:NAME")]
    others: Option<String>,
    /// A models.toml, for namespaces that are no IETF module's and lists that it has already
    #[arg(long, value_name = "FILE")]
    models: Option<PathBuf>,
    /// Take an approximation that may allow more than NACM does: augmentations (a module is its top-level nodes and all below, whoever added it),
    /// edit-data (the same as edit-config), gnmi (rows hold for it too), marks (defaults that permit hold whatever the models of the element mark)
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    accept: Vec<Accept>,
    /// Print a JSON object
    #[arg(long, conflicts_with = "out")]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let models = match &args.models {
        None => Models::default(),
        Some(file) => {
            let text = String::from_utf8(read(file)?).map_err(|_| cannot(file, "is not UTF-8 text"))?;
            read_models(&text).map(|(models, _)| models).map_err(|problems| {
                Failure::usage(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
            })?
        }
    };
    let bytes = read(&args.file)?;
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let node = if first == Some(&b'{') { from_json(&bytes) } else { from_xml(&bytes, &models) };
    let node = node.map_err(|text| cannot(&args.file, text))?;
    let options =
        Options { element: args.element.clone(), others: args.others.clone(), accept: args.accept.clone(), models };
    let imported =
        import(&Nacm::read(&node).map_err(|text| cannot(&args.file, text))?, &options).map_err(Failure::usage)?;
    write(args, &imported)?;
    match imported.unsaid.len() {
        0 => Ok(()),
        count => {
            let things = if count == 1 { "thing" } else { "things" };
            Err(Failure::new(Exit::Failed, format!("{count} {things} could not be said; the rows allow less there")))
        }
    }
}

fn write(args: &Args, imported: &Imported) -> Result<(), Failure> {
    let report: String = imported.unsaid.iter().map(|unsaid| format!("{}\n", told(unsaid))).collect();
    let failed = |error: std::io::Error| Failure::usage(format!("cannot write the answer: {error}"));
    if args.json || args.out == Path::new("-") {
        let text = if args.json {
            format!("{}\n", as_json(imported))
        } else {
            let comments: String = report.lines().map(|line| format!("# not said: {line}\n")).collect();
            let models: String = imported.models.lines().map(|line| format!("#   {line}\n")).collect();
            let head = if models.is_empty() { "" } else { "# For models.toml, where it is not there yet:\n" };
            format!("{comments}{head}{models}{}", imported.rows)
        };
        return std::io::stdout().lock().write_all(text.as_bytes()).map_err(failed);
    }
    fs::create_dir(&args.out).map_err(|error| cannot(&args.out, error))?;
    for (name, text) in [("policy.csv", &imported.rows), ("models.toml", &imported.models), ("report.txt", &report)] {
        fs::write(args.out.join(name), text).map_err(failed)?;
    }
    Ok(())
}

fn told(unsaid: &Unsaid) -> String {
    let mut text = unsaid.about.to_owned();
    if let Some(rule) = &unsaid.rule {
        text.push_str(&format!(", rule `{rule}`"));
    }
    text.push_str(&format!(": {}", unsaid.text));
    if let Some(accept) = unsaid.accept {
        text.push_str(&format!(" (--accept {})", accept.as_str()));
    }
    if !unsaid.roles.is_empty() {
        text.push_str(&format!(" [{}]", unsaid.roles.join(" ")));
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn as_json(imported: &Imported) -> serde_json::Value {
    let rows: Vec<&str> = imported.rows.lines().filter(|line| !line.starts_with('#')).collect();
    let unsaid: Vec<_> = imported
        .unsaid
        .iter()
        .map(|unsaid| {
            json!({
                "about": unsaid.about,
                "roles": unsaid.roles,
                "rule": unsaid.rule,
                "text": unsaid.text,
                "accept": unsaid.accept.map(Accept::as_str),
            })
        })
        .collect();
    json!({ "rows": rows, "models": imported.models, "unsaid": unsaid })
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read;
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(fs::File::open(file).map_err(|error| cannot(file, error))?)
    };
    let mut bytes = Vec::new();
    source.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| cannot(file, error))?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len <= FILE_BYTES_MAX) {
        Ok(bytes)
    } else {
        Err(cannot(file, format!("is larger than {} MiB", FILE_BYTES_MAX >> 20)))
    }
}

fn cannot(file: &Path, text: impl std::fmt::Display) -> Failure {
    Failure::usage(format!("{}: {text}", file.display()))
}

fn from_json(bytes: &[u8]) -> Result<Node, String> {
    let JsonData::Members(members) = JsonData::read(bytes, Naming::Inherited(None)).map_err(|e| e.to_string())? else {
        return Err("is no JSON object".to_owned());
    };
    let is_nacm = |node: &&DataNode| node.name == "nacm" && node.module.as_deref() == Some("ietf-netconf-acm");
    let mut nodes: Vec<&DataNode> = members.iter().collect();
    for _ in 0..AROUND_MAX {
        if let Some(nacm) = nodes.iter().find(|node| is_nacm(node)) {
            return Ok(json_node(nacm));
        }
        nodes = nodes.into_iter().flat_map(|node| &node.children).collect();
    }
    Err("holds no `ietf-netconf-acm:nacm`".to_owned())
}

fn json_node(node: &DataNode) -> Node {
    // A node of another module is none of NACM's.
    let name = match node.module.as_deref() {
        Some("ietf-netconf-acm") => node.name.clone(),
        other => format!("{}:{}", other.unwrap_or_default(), node.name),
    };
    Node {
        name,
        text: node.value.clone().unwrap_or_default(),
        children: node.children.iter().map(json_node).collect(),
        prefixes: None,
    }
}

fn from_xml(bytes: &[u8], models: &Models) -> Result<Node, String> {
    let (root, _, _) = xml::read(bytes, LIMITS).map_err(|error| error.to_string())?;
    let mut level = vec![(&root, Vec::new())];
    for _ in 0..AROUND_MAX {
        if let Some((nacm, around)) = level.iter().find(|(element, _)| element.name.is(NAMESPACE, "nacm")) {
            return xml_node(nacm, around, models);
        }
        level = level
            .into_iter()
            .flat_map(|(element, around)| {
                let around = scope(element, &around, models);
                element.children.iter().map(move |child| (child, around.clone()))
            })
            .collect();
    }
    Err(format!("holds no `nacm` of the namespace {NAMESPACE}"))
}

type Scope = Vec<(String, Prefix)>;

fn scope(element: &Element, around: &Scope, models: &Models) -> Scope {
    let own = |(prefix, ns): &(Box<str>, std::sync::Arc<str>)| {
        let stands = match models.module_of(ns) {
            Some(module) => Prefix::Module(module.to_owned()),
            None => Prefix::Namespace(ns.to_string()),
        };
        (prefix.to_string(), stands)
    };
    let inner: Scope = element.declares.iter().map(own).collect();
    let outer = around.iter().filter(|(prefix, _)| !inner.iter().any(|(known, _)| known == prefix)).cloned();
    outer.chain(inner.clone()).collect()
}

fn xml_node(element: &Element, around: &Scope, models: &Models) -> Result<Node, String> {
    if element.unclear {
        return Err(format!("`{}` holds text that can be read in two ways", element.name.local));
    }
    let own = scope(element, around, models);
    // A node of another namespace is none of NACM's.
    let name = match &*element.name.ns {
        NAMESPACE => element.name.local.to_string(),
        ns => format!("{ns}:{}", element.name.local),
    };
    let children = element.children.iter().map(|child| xml_node(child, &own, models)).collect::<Result<_, _>>()?;
    Ok(Node { name, text: element.text.clone(), children, prefixes: Some(own) })
}
