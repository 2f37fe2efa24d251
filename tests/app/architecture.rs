//! What the source promises about itself: who imports whom, and what is
//! written nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex::Regex;

/// The layers: what stands further right may use what stands left of it or
/// beside it. A module's own entry goes before its folder's.
const LAYERS: [&str; 12] = [
    "config",
    "services server dev::mailbox dev::simulator",
    "models",
    "forms",
    "views",
    "tasks",
    "error session state",
    "extractors middleware",
    "cli controllers dev",
    "routes",
    "lib",
    "main",
];

/// A file of the source, named as the module that it is.
struct Module {
    path: Vec<String>,
    text: String,
}

/// The files of a folder with this ending, by their path in it.
fn files(folder: &str, ending: &str) -> BTreeMap<String, String> {
    fn walk(folder: &Path, root: &Path, ending: &str, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, ending, found);
            } else if path.extension().is_some_and(|it| it == ending) {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                found.insert(
                    name.replace('\\', "/"),
                    std::fs::read_to_string(&path).unwrap(),
                );
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = BTreeMap::new();
    walk(&root, &root, ending, &mut found);
    assert!(!found.is_empty(), "{folder}");
    found
}

/// The source without comments and without the tests that stand beside it.
fn modules() -> Vec<Module> {
    let comment = Regex::new(r"(?m)^\s*//.*$|\s// .*$").unwrap();
    let mut modules = Vec::new();
    for (name, text) in files("src", "rs") {
        let name = name.trim_end_matches(".rs").trim_end_matches("/mod");
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        modules.push(Module {
            path: name.split('/').map(str::to_owned).collect(),
            text: comment.replace_all(text, "").into_owned(),
        });
    }
    modules
}

/// The paths that begin with `root::`, with what stands in braces taken apart.
fn paths(text: &str, root: &str) -> Vec<Vec<String>> {
    let start = Regex::new(&format!(r"(?:^|[^:\w]){root}::")).unwrap();
    let mut found = Vec::new();
    for matched in start.find_iter(text) {
        let mut rest = &text[matched.end()..];
        tree(&mut rest, &mut Vec::new(), &mut found);
    }
    found
}

/// Reads one branch of a `use` tree.
fn tree(rest: &mut &str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let depth = prefix.len();
    loop {
        *rest = rest.trim_start();
        if let Some(inside) = rest.strip_prefix('{') {
            *rest = inside;
            while !rest.trim_start().starts_with('}') {
                tree(rest, prefix, found);
                *rest = rest.trim_start().trim_start_matches(',');
            }
            *rest = &rest.trim_start()[1..];
            break;
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '*');
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        prefix.push(name.to_owned());
        *rest = after;
        match after.strip_prefix("::") {
            Some(after) => *rest = after,
            None => {
                found.push(prefix.clone());
                break;
            }
        }
    }
    prefix.truncate(depth);
}

/// Who imports whom, as modules. A private part of a module that is a folder
/// counts as that module.
fn imports() -> BTreeSet<(String, String)> {
    let modules = modules();
    let names: BTreeSet<Vec<String>> = modules.iter().map(|module| module.path.clone()).collect();
    let source = |path: &[String]| modules.iter().find(|module| module.path == path);
    let unit = |path: &[String]| -> Option<String> {
        let known = (1..=path.len())
            .rev()
            .find(|end| names.contains(&path[..*end]));
        let mut path = &path[..known?];
        while let Some((last, parent)) = path.split_last()
            && let Some(parent_source) = source(parent)
            && parent_source
                .text
                .lines()
                .any(|line| line == format!("mod {last};"))
        {
            path = parent;
        }
        Some(path.join("::"))
    };
    let mut edges = BTreeSet::new();
    for Module { path, text } in &modules {
        let mut wanted = paths(text, "crate");
        wanted.extend(paths(text, "twostep"));
        let parent = &path[..path.len() - 1];
        wanted.extend(
            paths(text, "super")
                .into_iter()
                .map(|it| [parent, &it].concat()),
        );
        for child in names
            .iter()
            .filter(|name| name.split_last().unwrap().1 == path)
        {
            for it in paths(text, child.last().unwrap()) {
                wanted.push([child.as_slice(), &it].concat());
            }
        }
        let from = unit(path).unwrap();
        for to in wanted.iter().filter_map(|it| unit(it)) {
            if to != from {
                edges.insert((from.clone(), to));
            }
        }
    }
    edges
}

fn layer(module: &str) -> usize {
    let of = |name: &str| {
        LAYERS
            .iter()
            .position(|layer| layer.split(' ').any(|it| it == name))
    };
    let folder = module.split("::").next().unwrap();
    of(module)
        .or_else(|| of(folder))
        .unwrap_or_else(|| panic!("{module} is in no layer"))
}

#[test]
fn a_use_tree_is_read_to_its_leaves() {
    let text = "use crate::{a, b::{self, c::D}};\nlet x = crate::e::f(crate::g);";
    let found: Vec<String> = paths(text, "crate")
        .iter()
        .map(|it| it.join("::"))
        .collect();
    assert_eq!(found, ["a", "b::self", "b::c::D", "e::f", "g"]);
    assert!(paths("mycrate::x", "crate").is_empty());
}

#[test]
fn imports_go_one_way() {
    let imports = imports();
    assert!(imports.len() > 100, "{}", imports.len());
    let has = |from: &str, to: &str| imports.contains(&(from.to_owned(), to.to_owned()));
    assert!(has(
        "controllers::two_factor::resend",
        "controllers::two_factor::sending"
    ));
    assert!(has("views::profile", "forms") && has("main", "config"));
    for (from, to) in &imports {
        assert!(layer(from) >= layer(to), "{from} imports {to}");
    }
}

#[test]
fn no_two_files_import_each_other_in_a_loop() {
    let mut imports = imports();
    // What imports nothing that is left is in no loop.
    loop {
        let importing: BTreeSet<String> = imports.iter().map(|(from, _)| from.clone()).collect();
        let before = imports.len();
        imports.retain(|(_, to)| importing.contains(to));
        if imports.len() == before {
            break;
        }
    }
    assert!(
        imports.is_empty(),
        "in a loop, or leading to one: {imports:?}"
    );
}

#[test]
fn every_layer_keeps_to_its_own() {
    for Module { path, text } in modules() {
        let folder = path[0].as_str();
        let name = path.join("/");
        let forbidden = |what: &str, rooms: &[&str]| {
            assert!(
                rooms.contains(&folder) || !text.contains(what),
                "{name}: {what}"
            );
        };
        forbidden("sqlx::query", &["models"]);
        forbidden("std::env", &["config"]);
        forbidden("SystemTime", &["services"]);
        if matches!(folder, "config" | "services" | "models" | "forms") {
            assert!(!text.contains("axum"), "{name} knows axum");
        }
        assert!(!text.contains("AssertSqlSafe"), "{name} puts SQL together");
        forbidden("</", &["dev"]); // the simulator can answer rubbish
    }
}

/// ASVS 1.2.4
#[test]
fn no_sql_is_put_together_from_parts() {
    let built = Regex::new(r"(?s)query\w*(::<[^(]*>)?\(\s*&?\s*(format!|concat|\w+\s*\+)").unwrap();
    for (name, text) in files("src", "rs") {
        assert!(!built.is_match(&text), "{name}");
    }
    assert!(built.is_match("sqlx::query(&format!(\"x\"))"));
    assert!(built.is_match("sqlx::query_as::<_, User>(\n  format!(\"x\"))"));
}

#[test]
fn files_stay_short() {
    for (name, text) in files("src", "rs") {
        let lines = text.lines().map(str::trim);
        let code = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
        assert!(code.count() < 300, "{name} has 300 lines of code or more");
    }
}

/// ASVS 1.2.3, 3.2.2
#[test]
fn templates_escape_everything_and_hold_no_script_or_style() {
    let forbidden = Regex::new(
        r#"(?i)\|\s*safe|\bescape\b|style\s*=|<style|<script(?:>|\s+[^>]*>\s*[^<\s])|\son\w+\s*=|javascript:"#,
    )
    .unwrap();
    for (name, mut text) in files("templates", "html") {
        // Mail programs know styles in attributes alone.
        if name.starts_with("email/") {
            text = text.replace(" style=\"", " ");
            assert!(!text.contains("src=") && !text.contains("url("), "{name}");
        }
        assert_eq!(
            forbidden.find(&text).map(|found| found.as_str()),
            None,
            "{name}"
        );
    }
    for bad in [
        "{{ x|safe }}",
        "<p style=\"x\">",
        "<script>",
        "<script src=x>y",
        "<a onclick=x>",
    ] {
        assert!(forbidden.is_match(bad), "{bad}");
    }
}

/// ASVS 1.3.2, 3.2.2
#[test]
fn scripts_write_no_html() {
    let html =
        Regex::new(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function");
    let html = html.unwrap();
    for (name, text) in files("static/js", "js") {
        assert_eq!(html.find(&text).map(|found| found.as_str()), None, "{name}");
    }
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest = std::fs::read_to_string(path).unwrap();
    let mut dependencies = 0;
    for section in manifest
        .split("\n[")
        .filter(|it| it.contains("dependencies]\n"))
    {
        for line in section.lines().skip(1).filter(|line| !line.is_empty()) {
            let reason = line
                .rsplit_once(" # ")
                .map(|(_, reason)| reason.trim().len());
            assert!(reason.is_some_and(|length| length > 5), "{line}");
            dependencies += 1;
        }
    }
    assert!(dependencies > 20, "{dependencies}");
}

/// ASVS 1.4.1, 1.4.2
#[test]
fn the_compiler_forbids_unsafe_code_and_numbers_do_not_wrap() {
    let manifest = text_of("Cargo.toml");
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    let release = manifest.split("[profile.release]").nth(1).unwrap();
    assert!(release.contains("overflow-checks = true"));
}

/// ASVS 3.3.4, 14.3.3
#[test]
fn browsers_are_given_nothing_to_keep_but_cookies_that_no_script_reads() {
    let kept = Regex::new(r"localStorage|sessionStorage|indexedDB|caches\.|document\.cookie");
    let kept = kept.unwrap();
    for (name, text) in files("static/js", "js") {
        assert_eq!(kept.find(&text).map(|found| found.as_str()), None, "{name}");
    }
}

/// ASVS 6.5.3, 11.5.1
#[test]
fn random_numbers_are_the_operating_systems() {
    let others = Regex::new(r"\b(rand|fastrand|nanorand|oorandom)::|thread_rng|SmallRng|[Uu]uid");
    let others = others.unwrap();
    let mut uses = 0;
    for Module { path, text } in modules() {
        let found = others.find(&text).map(|found| found.as_str());
        assert_eq!(found, None, "{path:?}");
        uses += text.matches("getrandom::fill").count();
    }
    assert!(uses >= 4, "{uses}");
}

/// ASVS 11.4.1, 11.4.3
#[test]
fn md5_is_for_gravatars_address_alone_and_no_other_old_hash_is_there() {
    let old = Regex::new(r"(?i)\b(md5|md4|sha1|sha_1|ripemd)\b").unwrap();
    let found: Vec<String> = modules()
        .into_iter()
        .filter(|module| old.is_match(&module.text))
        .map(|module| module.path.join("::"))
        .collect();
    assert_eq!(found, ["views::profile"]);
}

/// ASVS 12.3.2
#[test]
fn no_certificate_is_believed_unchecked() {
    let unchecked = Regex::new("danger_accept|dangerous|DangerousConfig|NoVerif").unwrap();
    for Module { path, text } in modules() {
        let found = unchecked.find(&text).map(|found| found.as_str());
        assert_eq!(found, None, "{path:?}");
    }
}

/// ASVS 13.3.1
#[test]
fn settings_with_secrets_are_kept_out_of_the_repository() {
    let ignored = text_of(".gitignore");
    assert!(
        ignored
            .lines()
            .any(|line| line == ".env" || line == "/.env")
    );
    let set = Regex::new(r"(?m)^[A-Z]").unwrap();
    assert!(!set.is_match(&text_of(".env.template")), "a value is set");
}

/// ASVS 15.2.4
#[test]
fn every_dependency_comes_from_crates_io() {
    let index = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let lock = text_of("Cargo.lock");
    let sources: Vec<&str> = lock
        .lines()
        .filter(|line| line.starts_with("source = "))
        .collect();
    assert!(sources.len() > 100 && sources.iter().all(|source| *source == index));
    let packages = lock.matches("[[package]]").count();
    assert_eq!(sources.len(), packages - 1, "all but this one");
    let rules = text_of("deny.toml");
    assert!(rules.contains("unknown-registry = \"deny\""));
    assert!(rules.contains("unknown-git = \"deny\""));
}

/// ASVS 16.1.1
#[test]
fn every_event_of_the_log_stands_in_its_inventory() {
    let event = Regex::new(r#"event = "([a-z_]+)""#).unwrap();
    let inventory = text_of("docs/security.md");
    let mut events = BTreeSet::new();
    for Module { text, .. } in modules() {
        events.extend(event.captures_iter(&text).map(|found| found[1].to_owned()));
    }
    assert!(events.len() > 30, "{events:?}");
    for event in events {
        assert!(inventory.contains(&format!("`{event}`")), "{event}");
    }
}

/// A file of the repository.
fn text_of(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(path).unwrap()
}
