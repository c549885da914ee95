use super::*;

const LIMITS: Limits = Limits { depth_max: 8, elements_max: 50 };

fn shown(element: &Element) -> String {
    let ns = if element.name.ns.is_empty() { String::new() } else { format!("{{{}}}", element.name.ns) };
    let attributes: String =
        element.attributes.iter().map(|a| format!(" {}{}={:?}", a.name.ns, a.name.local, a.value)).collect();
    let children: String = element.children.iter().map(shown).collect();
    let mark = if element.unclear { "?" } else { "" };
    format!("({ns}{}{attributes}{mark} {:?}{children})", element.name.local, element.text)
}

fn parsed(text: &str) -> Result<String, XmlError> {
    read(text.as_bytes(), LIMITS).map(|(root, ..)| shown(&root))
}

#[test]
fn documents() {
    for (text, expected) in [
        ("<a/>", "(a \"\")"),
        ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a></a>\n", "(a \"\")"),
        (" <a> x </a >", "(a \" x \")"),
        ("<a xmlns=\"u\"><b xmlns:p='v' p:c=\"1\" d='2'/></a>", "({u}a \"\"({u}b vc=\"1\" d=\"2\" \"\"))"),
        ("<p:a xmlns:p=\"u\"><b/></p:a>", "({u}a \"\"(b \"\"))"),
        ("<a xmlns='u'><b xmlns=''/></a>", "({u}a \"\"(b \"\"))"),
        ("<a>&lt;&#65;&#x42;&amp;</a>", "(a \"<AB&\")"),
        ("<a><![CDATA[<b>&]]></a>", "(a \"<b>&\")"),
        ("<a>x<![CDATA[y]]></a>", "(a? \"xy\")"),
        ("<a><![CDATA[x]]>y</a>", "(a? \"xy\")"),
        ("<a><![CDATA[x]]><![CDATA[y]]></a>", "(a? \"xy\")"),
        ("<a>x\r\ny\rz</a>", "(a \"x\\ny\\nz\")"),
        ("<a>\n <b/>\n</a>", "(a \"\"(b \"\"))"),
        ("<a b='x\ny&#10;'/>", "(a b=\"x y\\n\" \"\")"),
        ("<a><!-- x -->y</a>", "(a? \"y\")"),
        ("<a>x<!-- y -->z</a>", "(a? \"xz\")"),
        ("<a>x<b/></a>", "(a? \"\"(b \"\"))"),
        ("<a><!-- x --><b/></a>", "(a \"\"(b \"\"))"),
        ("<a b = '1'\n c=\"2\" />", "(a b=\"1\" c=\"2\" \"\")"),
    ] {
        assert_eq!(parsed(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn documents_that_are_refused() {
    let deep = format!("{}{}", "<a>".repeat(9), "</a>".repeat(9));
    let many = format!("<a>{}</a>", "<b/>".repeat(50));
    let long_name = format!("<{}/>", "a".repeat(257));
    let attributes = format!("<a {}/>", (0..129).map(|n| format!("a{n}=''")).collect::<Vec<_>>().join(" "));
    let long_tag = format!("<a b='{}'/>", "x".repeat(70_000));
    for text in [
        "",
        " ",
        "x",
        "<a",
        "<a>",
        "</a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>x",
        "x<a/>",
        "<a><b></a></b>",
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
        "<a><!ELEMENT b></a>",
        "<a>&x;</a>",
        "<a>&</a>",
        "<a>& b;</a>",
        "<a>&#0;</a>",
        "<a>&#1;</a>",
        "<a>&#xD800;</a>",
        "<a>&#x110000;</a>",
        "<a>&#+65;</a>",
        "<a>&#xFFFE;</a>",
        "<a>&#;</a>",
        "<a>]]></a>",
        "<a b='<'/>",
        "<a b='&x;'/>",
        "<a b=1/>",
        "<a b/>",
        "<a b='1'c='2'/>",
        "<a b='1' b='2'/>",
        "<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>",
        "<p:a/>",
        "<a p:b='1'/>",
        "<a xmlns:p=''/>",
        "<a xmlns:xml='u'/>",
        "<a xmlns:xmlns='u'/>",
        "<a xmlns='http://www.w3.org/XML/1998/namespace'/>",
        "<a xmlns='u' xmlns='v'/>",
        "<a:b:c xmlns:a='u'/>",
        "<:a/>",
        "<a:/>",
        "<1a/>",
        "<é/>",
        "< a/>",
        "<a / >",
        "<a><?php x?></a>",
        "<?xml-stylesheet href='x'?><a/>",
        "<?xml version='1.0'?><?xml version='1.0'?><a/>",
        "<a/><?xml version='1.0'?>",
        "<?xml version='1.1'?><a/>",
        "<?xml version='1.0' encoding='utf-16'?><a/>",
        "<?xml version='1.0' encoding='iso-8859-1'?><a/>",
        "<a><!-- -- --></a>",
        "<a><!-- x ---></a>",
        "<a><!- x --></a>",
        "<![CDATA[x]]><a/>",
        "<a>\u{1}</a>",
        "<a>\u{ffff}</a>",
        "\u{feff}<a/>",
        "<a b='\u{0}'/>",
        "<a<b/></a>",
        &deep,
        &many,
        &long_name,
        &attributes,
        &long_tag,
    ] {
        assert!(parsed(text).is_err(), "{text:.80}: {:?}", parsed(text));
    }
    for bytes in
        [&b"<a>\xff</a>"[..], b"<a>\xc0\x80</a>", b"<a>\xed\xa0\x80</a>", b"\xff\xfe<\0a\0/\0>\0", b"<a b='\xff'/>"]
    {
        assert!(read(bytes, LIMITS).is_err(), "{bytes:?}");
    }
}

/// Tokens as text, whatever way the bytes come.
fn tokens(bytes: &[u8], cut: usize) -> Result<(Vec<String>, Vec<u8>), XmlError> {
    let mut tokenizer = Tokenizer::new(8);
    let (mut all, mut raw) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(cut) {
        tokenizer.push(piece);
        while let Some(token) = tokenizer.next_token()? {
            all.push(match token {
                Token::Start(tag) => format!("{tag:?}"),
                other => format!("{other:?} {}", decoded(tokenizer.raw())),
            });
            raw.extend_from_slice(tokenizer.raw());
        }
    }
    tokenizer.finish()?;
    Ok((all, raw))
}

#[test]
fn long_text_comes_in_pieces_and_is_whole() {
    for filler in ["é", "]", "&amp;", "x\r\n", "]]é&#x41;"] {
        let text = format!("<a>{}</a>", filler.repeat(200_000 / filler.len()));
        let (all, raw) = tokens(text.as_bytes(), 1_000).expect("a document");
        assert_eq!(raw, text.as_bytes(), "{filler}");
        assert!(all.len() > 4, "{filler}");
        let (element, ..) = read(text.as_bytes(), LIMITS).expect("a document");
        let expected = filler.replace("&amp;", "&").replace("&#x41;", "A").replace("\r\n", "\n");
        assert_eq!(element.text, expected.repeat(200_000 / filler.len()), "{filler}");
    }
    assert!(tokens(format!("<a>{}]]>", "]".repeat(200_000)).as_bytes(), 1_000).is_err());
}

proptest::proptest! {
    #[test]
    fn cuts_do_not_matter_and_bytes_are_kept(text in "(<[ab/!?]|>|[ab]|-|\\[|\\]|CDATA|&amp;|&| b='1'|\"|/|</a>|<a>|<b/>| ){0,20}", cut in 1_usize..7) {
        let document = format!("<a>{text}</a>");
        let whole = tokens(document.as_bytes(), usize::MAX);
        let pieces = tokens(document.as_bytes(), cut);
        match (whole, pieces) {
            (Ok(whole), Ok(pieces)) => {
                proptest::prop_assert_eq!(&whole.1, document.as_bytes());
                proptest::prop_assert_eq!(whole, pieces);
            }
            (whole, pieces) => proptest::prop_assert_eq!(whole.is_err(), pieces.is_err()),
        }
    }

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        drop(read(&bytes, LIMITS));
        drop(tokens(&bytes, 3));
    }
}
