//! Templates of nuclei.

use super::template::Filling;
use super::{About, Source, SourceRequest, path_of, raw};
use serde_json::Value;

/// The requests of a template of nuclei, with what stands for something replaced.
pub(super) fn read(text: &str) -> Result<Source, String> {
    let value: Value = serde_yaml::from_str(text)
        .map_err(|error| format!("this is no request, curl command, HAR file or nuclei template: {error}"))?;
    let blocks = [&value["http"], &value["requests"]].into_iter().filter_map(Value::as_array).flatten();
    let mut source = Source { about: about(&value["info"]), ..Source::default() };
    for block in blocks {
        let fill = |text: &str, guesses: &mut Vec<String>| {
            fill(text, &block["payloads"], &value["variables"], guesses)
        };
        for raw_text in block["raw"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            // Lines such as `@timeout: 20s` before the request are for nuclei itself.
            let mut text = raw_text.trim_start();
            while let Some((line, rest)) = text.split_once('\n').filter(|_| text.starts_with('@')) {
                let _ = line;
                text = rest.trim_start();
            }
            source.requests.extend(raw::read(&fill(text, &mut source.guesses)));
        }
        let body = block["body"].as_str().map(|body| fill(body, &mut source.guesses)).unwrap_or_default();
        let headers: Vec<_> = block["headers"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect();
        for path in block["path"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let target = path_of(&fill(path, &mut source.guesses));
            let headers = headers.iter().map(|(n, v)| (n.clone(), fill(v, &mut source.guesses))).collect();
            let method = block["method"].as_str().unwrap_or("GET").to_owned();
            source.requests.push(SourceRequest {
                method,
                target,
                host: None,
                headers,
                body: body.clone().into_bytes(),
            });
        }
    }
    source.guesses.dedup();
    if source.requests.is_empty() {
        return Err(
            "this is no request, curl command, HAR file or nuclei template with an HTTP request".to_owned()
        );
    }
    Ok(source)
}

fn about(info: &Value) -> About {
    let text = |value: &Value| value.as_str().map(|text| text.trim().to_owned());
    let list = |value: &Value| -> Vec<String> {
        match value {
            Value::Array(list) => list.iter().filter_map(&text).collect(),
            Value::String(text) => {
                text.lines().flat_map(|line| line.split(',')).map(|t| t.trim().to_owned()).collect()
            }
            _ => Vec::new(),
        }
    };
    About {
        title: text(&info["name"]),
        product: product(&info["metadata"]),
        severity: text(&info["severity"]),
        cve: list(&info["classification"]["cve-id"])
            .into_iter()
            .map(|one| one.to_ascii_uppercase())
            .collect(),
        references: list(&info["reference"]),
    }
}

/// The product, with its vendor where the name is not the same.
fn product(metadata: &Value) -> Option<String> {
    let product = metadata["product"].as_str()?.trim().replace('_', " ");
    let vendor = metadata["vendor"].as_str().map(|vendor| vendor.trim().replace('_', " "));
    Some(match vendor {
        Some(vendor) if !vendor.is_empty() && !product.contains(&vendor) => format!("{product} ({vendor})"),
        _ => product,
    })
}

/// `text` with `{{…}}` replaced.
fn fill(text: &str, payloads: &Value, variables: &Value, guesses: &mut Vec<String>) -> String {
    Filling { payloads, variables, guesses }.fill(text)
}
