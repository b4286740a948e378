//! A validator by the part of OCSF's compiled schema in `ocsf-1.8.0.json`: what PyPI's `ocsf-json-schema` 1.2.0 has
//! from schema.ocsf.io, cut down to the classes and objects used, each attribute to its requirement, type and values.

use serde_json::{Map, Value};

/// Appends what is wrong with an event.
pub(crate) fn check(schema: &Value, event: &Value, wrong: &mut Vec<String>) {
    let uid = event["class_uid"].to_string();
    let Some(class) = schema["classes"].get(&uid) else { return wrong.push(format!("no class {uid}")) };
    let profiles: Vec<_> = event["metadata"]["profiles"].as_array().into_iter().flatten().collect();
    let profiles: Vec<_> = profiles.into_iter().filter_map(Value::as_str).collect();
    let Some(members) = event.as_object() else { return wrong.push("no object".to_owned()) };
    object(schema, class, members, &profiles, "", wrong);
    let type_uid = event["class_uid"].as_u64().zip(event["activity_id"].as_u64());
    if type_uid.map(|(class, activity)| class * 100 + activity) != event["type_uid"].as_u64() {
        wrong.push("type_uid is not class and activity".to_owned());
    }
    if event["class_uid"].as_u64().map(|class| class / 1000) != event["category_uid"].as_u64() {
        wrong.push("category_uid is not the class's".to_owned());
    }
}

fn object(
    schema: &Value,
    of: &Value,
    members: &Map<String, Value>,
    profiles: &[&str],
    path: &str,
    wrong: &mut Vec<String>,
) {
    let attributes = of["attributes"].as_object().unwrap();
    let applies = |attribute: &Value| {
        attribute.get("profile").is_none_or(|profile| profiles.contains(&profile.as_str().unwrap()))
    };
    for (name, attribute) in attributes {
        if attribute["requirement"] == "required" && applies(attribute) && !members.contains_key(name) {
            wrong.push(format!("{path}.{name} is required"));
        }
    }
    for (name, value) in members {
        let path = format!("{path}.{name}");
        match attributes.get(name).filter(|attribute| applies(attribute)) {
            None => wrong.push(format!("{path} is no attribute here")),
            Some(attribute) => member(schema, attribute, value, profiles, &path, wrong),
        }
    }
    for (constraint, names) in of["constraints"].as_object().unwrap() {
        let names = names.as_array().unwrap().iter().filter_map(Value::as_str);
        let there = names.filter(|name| members.contains_key(*name)).count();
        match constraint.as_str() {
            "at_least_one" if there == 0 => wrong.push(format!("{path}: none of what it needs one of")),
            "just_one" if there != 1 => wrong.push(format!("{path}: {there} of what it needs one of")),
            _ => {}
        }
    }
}

fn member(
    schema: &Value,
    attribute: &Value,
    value: &Value,
    profiles: &[&str],
    path: &str,
    wrong: &mut Vec<String>,
) {
    if attribute["array"] == true {
        let Some(entries) = value.as_array() else { return wrong.push(format!("{path} is no list")) };
        return entries.iter().for_each(|entry| single(schema, attribute, entry, profiles, path, wrong));
    }
    single(schema, attribute, value, profiles, path, wrong);
}

fn single(
    schema: &Value,
    attribute: &Value,
    value: &Value,
    profiles: &[&str],
    path: &str,
    wrong: &mut Vec<String>,
) {
    if let Some(name) = attribute["object"].as_str() {
        let Some(members) = value.as_object() else { return wrong.push(format!("{path} is no object")) };
        // The type `object` may hold anything.
        if name != "object" {
            match schema["objects"].get(name) {
                Some(of) => object(schema, of, members, profiles, path, wrong),
                None => wrong.push(format!("{path}: {name} is not in the test's data")),
            }
        }
        return;
    }
    let fits = match attribute["type"].as_str().unwrap() {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        _ => true,
    };
    if !fits {
        wrong.push(format!("{path} is of another type"));
    }
    if attribute["is"] == "ip_t" && value.as_str().is_none_or(|ip| ip.parse::<std::net::IpAddr>().is_err()) {
        wrong.push(format!("{path} is no address"));
    }
    if let Some(values) = attribute["enum"].as_array()
        && !values.contains(value)
    {
        wrong.push(format!("{path} has a value that the schema does not know"));
    }
}
