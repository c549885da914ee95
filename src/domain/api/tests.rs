use super::*;

const DOCUMENT: &str = r##"{
  "openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "servers": [{"url": "https://hss.example/api"}],
  "paths": {
    "/subscribers/{id}": {
      "parameters": [{"$ref": "#/components/parameters/id"}],
      "get": {"operationId": "get", "parameters": [{"name": "fields", "in": "query", "explode": false, "schema": {"type": "array", "maxItems": 2, "items": {"enum": ["name", "plan"]}}}], "responses": {}},
      "patch": {"operationId": "change", "requestBody": {"required": true, "content": {"application/merge-patch+json": {"schema": {"$ref": "#/components/schemas/Change"}}}}, "responses": {}}
    },
    "/subscribers/me": {"get": {"responses": {}}},
    "/subscribers": {"get": {"operationId": "find", "parameters": [
      {"name": "msisdn", "in": "query", "required": true, "x-sallyport-object": true, "schema": {"type": "string", "pattern": "^[0-9]{5,15}$"}},
      {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 50}},
      {"name": "X-Reason", "in": "header", "required": true, "schema": {"type": "string", "minLength": 3}}], "responses": {}}},
    "/swaps": {"post": {"operationId": "swap", "requestBody": {"$ref": "#/components/requestBodies/swap"}, "responses": {}}},
    "/photo": {"put": {"operationId": "photo", "requestBody": {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}, "responses": {}}}
  },
  "components": {
    "parameters": {"id": {"name": "id", "in": "path", "required": true, "schema": {"type": "string", "pattern": "^[0-9]+$", "maxLength": 6}}},
    "requestBodies": {"swap": {"required": true, "content": {"application/json": {"schema": {"allOf": [{"$ref": "#/components/schemas/Swap"}]}}}}},
    "schemas": {
      "Change": {"type": "object", "minProperties": 1, "properties": {"plan": {"enum": ["s", "m"]}, "id": {"type": "string", "readOnly": true}, "nick": {"type": "string", "nullable": true},
        "tags": {"type": "array", "uniqueItems": true, "items": {"type": "string"}}, "since": {"type": "string", "format": "date"}}},
      "Swap": {"type": "object", "required": ["msisdn", "iccid"], "properties": {"msisdn": {"type": "string", "x-sallyport-object": true}, "iccid": {"type": "string", "pattern": "^89[0-9]{17}$"},
        "more": {"$ref": "#/components/schemas/Swap"}}}
    }
  }
}"##;

fn document() -> Document {
    Document::read(DOCUMENT).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
}

/// `METHOD PATH?QUERY`, headers, body.
fn judge(request: &str, reason: Option<&str>, body: &str) -> Judged {
    let (method, url) = request.split_once(' ').expect("a method");
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let segments: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
    let query: Vec<(String, String)> = query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let media = match method {
        "PATCH" => "application/merge-patch+json; charset=utf-8",
        "PUT" => "image/png",
        _ => "application/json",
    };
    let header = |name: &str| Ok((name == "x-reason").then(|| reason.map(str::to_owned)).flatten());
    let seen =
        Seen { method, segments: &segments, query: &query, header: &header, media: Some(media), body: body.as_bytes() };
    document().judge(&seen)
}

#[test]
fn what_the_document_has() {
    let iccid = "8946000000000000001";
    let swap = format!(r#"{{"msisdn":"4670","iccid":"{iccid}"}}"#);
    for (request, reason, body, object, operation) in [
        ("GET /api/subscribers/4711", None, "", "/api/subscribers/{id=4711}", "get"),
        ("GET /api/subscribers/4711?fields=name,plan", None, "", "/api/subscribers/{id=4711}", "get"),
        ("GET /api/subscribers/me", None, "", "/api/subscribers/me", "/api/subscribers/me"),
        ("GET /api/subscribers?msisdn=46701&limit=50", Some("call"), "", "/api/subscribers/{?msisdn=46701}", "find"),
        (
            "PATCH /api/subscribers/1",
            None,
            r#"{"plan":"m","nick":null,"tags":["a","b"],"since":"2026-02-28"}"#,
            "/api/subscribers/{id=1}",
            "change",
        ),
        ("POST /api/swaps", None, swap.as_str(), "/api/swaps/{body.msisdn=4670}", "swap"),
        ("PUT /api/photo", None, "\u{1}", "/api/photo", "photo"),
    ] {
        let judged = judge(request, reason, body);
        assert_eq!(
            (judged.wrong, judged.object.as_str(), judged.operation.as_deref()),
            (None, object, Some(operation)),
            "{request}"
        );
    }
    assert_eq!(judge("POST /api/swaps", None, &swap).records, [("body.msisdn".to_owned(), "4670".to_owned())]);
    assert_eq!(judge("GET /api/subscribers?msisdn=46701", Some("call"), "").headers, ["x-reason"]);
}

#[test]
fn what_the_document_does_not_have() {
    let good = r#"{"msisdn":"4670","iccid":"8946000000000000001"}"#;
    for (request, reason, body) in [
        ("GET /api", None, ""),
        ("GET /subscribers/4711", None, ""),
        ("GET /api/subscribers/4711/sim", None, ""),
        ("GET /api/Subscribers/4711", None, ""),
        ("DELETE /api/subscribers/4711", None, ""),
        ("HEAD /api/subscribers/4711", None, ""),
        ("POST /api/subscribers/me", None, "{}"),
        ("GET /api/subscribers/47a", None, ""),
        ("GET /api/subscribers/1234567", None, ""),
        ("GET /api/subscribers/{id}", None, ""),
        ("GET /api/subscribers/4711?fields=name,imsi", None, ""),
        ("GET /api/subscribers/4711?fields=name,plan,name", None, ""),
        ("GET /api/subscribers/4711?all=1", None, ""),
        ("GET /api/subscribers/4711?FIELDS=name", None, ""),
        ("GET /api/subscribers/4711", None, "{}"),
        ("GET /api/subscribers", Some("call"), ""),
        ("GET /api/subscribers?msisdn=46701", None, ""),
        ("GET /api/subscribers?msisdn=46701", Some("x"), ""),
        ("GET /api/subscribers?msisdn=467*", Some("call"), ""),
        ("GET /api/subscribers?msisdn=46701&limit=51", Some("call"), ""),
        ("GET /api/subscribers?msisdn=46701&limit=0", Some("call"), ""),
        ("GET /api/subscribers?msisdn=46701&limit=1.0", Some("call"), ""),
        ("GET /api/subscribers?msisdn=46701&limit=01", Some("call"), ""),
        ("GET /api/subscribers?msisdn=46701&limit=", Some("call"), ""),
        ("PATCH /api/subscribers/1", None, ""),
        ("PATCH /api/subscribers/1", None, "{}"),
        ("PATCH /api/subscribers/1", None, "[]"),
        ("PATCH /api/subscribers/1", None, "{"),
        ("PATCH /api/subscribers/1", None, r#"{"plan":"l"}"#),
        ("PATCH /api/subscribers/1", None, r#"{"plan":"s","plan":"m"}"#),
        ("PATCH /api/subscribers/1", None, r#"{"plan":"s","admin":true}"#),
        ("PATCH /api/subscribers/1", None, r#"{"id":"2"}"#),
        ("PATCH /api/subscribers/1", None, r#"{"plan":null}"#),
        ("PATCH /api/subscribers/1", None, r#"{"tags":["a","a"]}"#),
        ("PATCH /api/subscribers/1", None, r#"{"tags":[1]}"#),
        ("PATCH /api/subscribers/1", None, r#"{"since":"2026-13-01"}"#),
        ("POST /api/swaps", None, "{}"),
        ("POST /api/swaps", None, r#"{"msisdn":"4670","iccid":"1"}"#),
        ("POST /api/swaps", None, r#"{"msisdn":"46/70","iccid":"8946000000000000001"}"#),
        ("POST /api/swaps", None, r#"{"msisdn":"4670}/{x=1","iccid":"8946000000000000001"}"#),
        ("POST /api/swaps", None, r#"{"msisdn":"","iccid":"8946000000000000001"}"#),
        ("POST /api/swaps", None, r#"{"msisdn":"4670","iccid":"8946000000000000001","x":1}"#),
        ("POST /api/swaps", None, r#"{"msisdn":"4670","iccid":"8946000000000000001","more":{"msisdn":"1"}}"#),
    ] {
        assert!(judge(request, reason, body).wrong.is_some(), "{request} {body}");
    }
    assert_eq!(judge("POST /api/swaps", None, good).wrong, None);
}

#[test]
fn every_mistake_is_told_with_its_place() {
    for (from, to, place) in [
        ("3.0.3", "2.0", "#/openapi"),
        ("\"info\"", "\"infos\"", "#/infos"),
        ("/api\"}]", "/api\"},{\"url\":\"/other\"}]", "#/servers"),
        ("\"enum\": [\"s\", \"m\"]", "\"multipleOf\": 2", "#/components/schemas/Change/properties/plan/multipleOf"),
        ("\"uniqueItems\": true", "\"contains\": {}", "/contains"),
        ("\"format\": \"date\"", "\"format\": \"email\"", "/since/format"),
        ("^[0-9]+$", "^(?=a)", "parameters/0/schema/pattern"),
        ("schemas/Change\"", "schemas/Changes\"", "there is no schema `Changes`"),
        ("parameters/id\"", "parameters/ID\"", "#/paths/~1subscribers~1{id}/parameters/0"),
        ("\"explode\": false, ", "", "explode"),
        ("\"in\": \"header\"", "\"in\": \"cookie\"", "cookies do not pass"),
        ("X-Reason", "X-Forwarded-For", "does not pass"),
        ("X-Reason", "Authorization", "does not pass"),
        ("/subscribers/me", "/subscribers/{me}", "means the same requests"),
        ("/subscribers/me", "/subscribers/me/", "#/paths/~1subscribers~1me~1"),
        ("/subscribers/me", "/subscribers/{a}.json", "each plain text or one"),
        ("\"in\": \"path\", \"required\": true", "\"in\": \"path\"", "required: true"),
        ("\"operationId\": \"find\"", "\"operationId\": \"get\"", "is there twice"),
        ("\"get\": {\"responses\"", "\"trace\": {\"responses\"", "/trace"),
        ("image/png", "image/*", "is not one media type"),
        ("\"nullable\": true", "\"nullable\": 1", "/nick/nullable"),
        ("\"maxLength\": 6", "\"maxLength\": -1", "/maxLength"),
        ("\"type\": \"integer\"", "\"type\": \"int\"", "is not a type"),
        ("\"type\": \"integer\"", "\"not\": {}", "/schema/not"),
        ("\"paths\"", "\"x-paths\"", "#/paths"),
        ("\"title\"", "\"title\": \"u\", \"title\"", "is there twice"),
    ] {
        let text = DOCUMENT.replacen(from, to, 1);
        assert_ne!(text, DOCUMENT, "{from}");
        let mistakes = Document::read(&text).err().unwrap_or_default();
        assert!(mistakes.iter().any(|mistake| mistake.text.contains(place)), "{from} -> {to}: {mistakes:#?}");
    }
    let mistakes = Document::read("{\n\"openapi\": \"3.1.0\",\n\"paths\": {\"/a\": {\n\"put\": {\"servers\": []}}}}")
        .expect_err("a mistake");
    assert_eq!((mistakes.len(), mistakes[0].line), (1, 4), "{mistakes:?}");
}
