//! Twilio's specification, and assertions that requests and resources match it.

use std::sync::LazyLock;

use data_encoding::BASE64;
use regex::Regex;
use serde_json::Value;

use super::peer::Request;

static SPEC: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../fixtures/twilio-verify-v2.openapi.json")).unwrap()
});

pub fn servers() -> Vec<&'static str> {
    let mut servers: Vec<_> = SPEC["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|path| path["servers"].as_array().unwrap())
        .map(|server| server["url"].as_str().unwrap())
        .collect();
    servers.dedup();
    servers
}

/// The statuses of a check, sorted. The specification lists them in a sentence.
pub fn check_statuses() -> Vec<&'static str> {
    let schema = &SPEC["components"]["schemas"]["verify.v2.service.verification_check"];
    let sentence = schema["properties"]["status"]["description"]
        .as_str()
        .unwrap();
    let mut statuses: Vec<_> = sentence.split('`').skip(1).step_by(2).collect();
    statuses.sort_unstable();
    statuses
}

/// Asserts that a request matches the specification.
pub fn assert_valid_request(request: &Request, username: &str, password: &str) {
    let (operation, parameters) = SPEC["paths"]
        .as_object()
        .unwrap()
        .iter()
        .find_map(|(template, path)| {
            let parameters = match_path(template, &request.path)?;
            Some((&path[request.method.to_lowercase()], parameters))
        })
        .unwrap_or_else(|| panic!("no such path: {}", request.path));
    assert!(
        operation.is_object(),
        "no {} {}",
        request.method,
        request.path
    );
    for parameter in operation["parameters"].as_array().unwrap() {
        let name = parameter["name"].as_str().unwrap();
        let (_, value) = parameters.iter().find(|(key, _)| key == name).unwrap();
        assert_matches(&Value::from(value.as_str()), &parameter["schema"], name);
    }

    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    let schema =
        &operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
    for required in schema["required"].as_array().into_iter().flatten() {
        let name = required.as_str().unwrap();
        assert!(request.field(name).is_some(), "{name} is missing");
    }
    let mut names = Vec::new();
    for (name, value) in &request.form {
        let property = &schema["properties"][name];
        assert!(property.is_object(), "unknown field {name}");
        assert_matches(&Value::from(value.as_str()), property, name);
        assert!(!names.contains(&name), "{name} twice");
        names.push(name);
    }

    assert_eq!(
        operation["security"][0]["accountSid_authToken"],
        Value::Array(Vec::new())
    );
    assert_eq!(
        SPEC["components"]["securitySchemes"]["accountSid_authToken"]["scheme"],
        "basic"
    );
    let credentials = BASE64.encode(format!("{username}:{password}").as_bytes());
    assert_eq!(
        request.header("authorization"),
        Some(format!("Basic {credentials}").as_str())
    );
}

/// Asserts that a resource matches its schema.
pub fn assert_valid_resource(schema: &str, resource: &Value) {
    let schema = &SPEC["components"]["schemas"][schema];
    let properties = schema["properties"].as_object().unwrap();
    for name in properties.keys() {
        assert!(resource.get(name).is_some(), "{name} is missing");
    }
    for (name, value) in resource.as_object().unwrap() {
        let property = properties
            .get(name)
            .unwrap_or_else(|| panic!("unknown field {name}"));
        assert_matches(value, property, name);
    }
}

fn assert_matches(value: &Value, schema: &Value, name: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => SPEC.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    if value.is_null() {
        assert_eq!(schema["nullable"], true, "{name} is null");
        return;
    }
    match schema["type"].as_str() {
        Some("string") => {
            let text = value.as_str().unwrap_or_else(|| panic!("{name}: {value}"));
            if let Some(pattern) = schema["pattern"].as_str() {
                let fits = Regex::new(pattern).unwrap().is_match(text);
                assert!(fits, "{name}: {text} is not {pattern}");
            }
            if let Some(allowed) = schema["enum"].as_array() {
                assert!(allowed.contains(value), "{name}: {value}");
            }
        }
        Some("boolean") => assert!(value.is_boolean(), "{name}: {value}"),
        Some("array") => assert!(value.is_array(), "{name}: {value}"),
        Some(other) => panic!("{name}: type {other} is not supported"),
        None => {}
    }
}

/// The parameters of a path that matches the template.
fn match_path(template: &str, path: &str) -> Option<Vec<(String, String)>> {
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    if template.len() != path.len() {
        return None;
    }
    let mut parameters = Vec::new();
    for (expected, actual) in template.iter().zip(&path) {
        if let Some(name) = expected.strip_prefix('{') {
            parameters.push((name.trim_end_matches('}').to_owned(), (*actual).to_owned()));
        } else if expected != actual {
            return None;
        }
    }
    Some(parameters)
}
