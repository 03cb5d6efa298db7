use hubbub_proto::Who;

use hubbub_hub::Permit;

use super::*;

fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hubbub.toml");
    std::fs::write(&path, file).unwrap();
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Sources { file: Some(path), environment, flags: Vec::new() }
        .load()
        .map_err(|error| error.to_string())
}

#[track_caller]
fn refused(file: &str, environment: &[(&str, &str)], expected: &str) {
    let said = load(file, environment).unwrap_err();
    assert!(said.contains(expected), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn nothing_configured_is_the_default() {
    assert_eq!(Sources::default().load().unwrap(), Config::default());
    assert_eq!(load("", &[]).unwrap(), Config::default());
}

#[test]
fn the_default_file_is_the_default() {
    assert_eq!(load(&as_toml(), &[]).unwrap(), Config::default());
}

#[test]
fn the_reference_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, as_markdown()).unwrap();
    }
    let file = std::fs::read_to_string(&path).unwrap();
    assert!(
        file == as_markdown(),
        "docs/configuration.md is not up to date: hubbub config doc > docs/configuration.md"
    );
}

#[test]
fn mirrored_defaults_are_the_owners() {
    let config = Config::default();
    assert_eq!(hubbub_proto::limits::Limits::from(&config.limits), Default::default());
    assert_eq!(hubbub_chat::ChatConfig::from(&config.chat), Default::default());
}

#[test]
fn every_default_satisfies_its_rule_and_has_words() {
    for section in SECTIONS {
        assert!(!section.about.trim().is_empty(), "{}", section.name);
        for key in section.keys {
            let value = default_value(section, key);
            assert_eq!(key.rule.check(&value), Ok(()), "{}.{}", section.name, key.name);
            assert!(!key.about.trim().is_empty(), "{}.{}", section.name, key.name);
            if value.is_integer() {
                assert!(matches!(key.rule, Rule::Range(..)), "{}.{}", section.name, key.name);
            }
        }
    }
}

#[test]
fn a_number_at_the_edge_of_its_rule_fits_its_type() {
    for section in SECTIONS {
        for key in section.keys {
            let Rule::Range(min, max) = key.rule else { continue };
            for edge in [min, max] {
                let table = format!("[{}]\n{} = {edge}", section.name, key.name);
                let parsed: Result<Config, _> = toml::from_str(&table);
                assert!(parsed.is_ok(), "{}.{} = {edge}", section.name, key.name);
            }
        }
    }
}

#[test]
fn the_later_source_wins() {
    let file = "[limits]\ncommands_per_second = 1\ncommands_burst = 2\n";
    let environment =
        [("HUBBUB_LIMITS_COMMANDS_PER_SECOND", "5_00"), ("HUBBUB_LIMITS_LINGER_MS", "9")];
    let config = load(file, &environment).unwrap();
    let LimitsSection { commands_per_second, commands_burst, linger_ms, .. } = config.limits;
    assert_eq!((commands_per_second, commands_burst, linger_ms), (500, 2, 9));

    let flags = vec![("server", "bind", Value::String("127.0.0.1:1".into()))];
    let environment = vec![("HUBBUB_SERVER_BIND".to_owned(), "127.0.0.1:2".to_owned())];
    let config = Sources { file: None, environment, flags }.load().unwrap();
    assert_eq!(config.server.bind, "127.0.0.1:1");
}

#[test]
fn variables_of_each_kind() {
    let config = load(
        "",
        &[
            ("HUBBUB_SERVER_DEV", "true"),
            ("HUBBUB_SERVER_ALLOWED_ORIGINS", "https://a.example, https://b.example:8443"),
            ("HUBBUB_AUTH_COOKIE", "sid"),
            ("HUBBUB_CONFIG", "elsewhere"),
            ("HUBBUB_SERVICE_HOST", "10.0.0.1"),
            ("HUBBUB_PORT", "tcp://10.0.0.1:80"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert!(config.server.dev);
    assert_eq!(config.server.allowed_origins, ["https://a.example", "https://b.example:8443"]);
    assert_eq!(config.auth.cookie, "sid");
}

#[test]
fn errors_name_the_key_and_the_fix() {
    refused(
        "[limits]\nmessage_bytes_max = 10",
        &[],
        "limits.message_bytes_max: 10 is too small; use at least 1024 (set by ",
    );
    refused("[limits]\nmessage_bytes_max = 99999999999", &[], "is too large; use at most 67108864");
    refused("[limits]\nmessage_bytes_max = -1", &[], "-1 is too small");
    refused(
        "[limits]\nmessage_bytes_max = \"big\"",
        &[],
        "limits.message_bytes_max: \"big\" is not a whole",
    );
    refused("[limits]\nmessage_bytes_max = 1.5", &[], "is not a whole number");
    refused(
        "",
        &[("HUBBUB_LIMITS_MESSAGE_BYTES_MAX", "ten")],
        "\"ten\" is not a whole number (set by HUBBUB_LIMITS_MESSAGE_BYTES_MAX)",
    );
    refused("", &[("HUBBUB_LIMITS_MESSAGE_BYTE_MAX", "1")], "did you mean message_bytes_max?");
    refused(
        "[limits]\nmessage_byte_max = 1",
        &[],
        "limits.message_byte_max: there is no such key; did you mean message_bytes_max?",
    );
    refused(
        "[limit]\n",
        &[],
        "[limit]: there is no such section; there are [server], [edge], [tls]",
    );
    refused("bind = \"x\"", &[], "a key needs a section");
    refused(
        "[server]\nbind = \"localhost\"",
        &[],
        "server.bind: \"localhost\" is not ADDRESS:PORT",
    );
    refused("[server]\nbind = 8080", &[], "server.bind: 8080 is not a text");
    refused("[server]\ndata_dir = \" \"", &[], "server.data_dir: it is empty");
    refused("[server]\nallowed_origins = [\"a.example\"]", &[], "is not an origin");
    refused("[server]\nallowed_origins = [\"https://a.example/\"]", &[], "is not an origin");
    refused("[server]\nallowed_origins = \"*\"", &[], "is not a list of texts");
    refused("[server]\ndev = 1", &[], "server.dev: 1 is not true or false");
    refused(
        "[auth]\nalgorithms = [\"none\"]",
        &[],
        "auth.algorithms: \"none\" is not known; use `HS256`",
    );
    refused("[auth]\nalgorithms = []", &[], "auth.algorithms: the list is empty");
    refused(
        "[log]\nformat = \"xml\"",
        &[],
        "log.format: \"xml\" is not known; use `text` or `json`",
    );
    refused("[server]\n\nbind = \n", &[], "line 3");
    refused("[server]\nbind = \"127.0.0.1:0\"\nbind = \"127.0.0.1:1\"", &[], "line 3");
}

#[test]
fn keys_that_must_agree() {
    refused("[server]\ndev = true\nbind = \"0.0.0.0:0\"", &[], "server.dev: ");
    refused("[server]\ndev = true\nbind = \"[::]:0\"", &[], "bind 127.0.0.1:PORT");
    assert!(load("[server]\ndev = true\nbind = \"[::1]:0\"", &[]).is_ok());
    refused(
        "[limits]\nmessage_bytes_max = 1048576",
        &[],
        "limits.outbox_bytes_max: 1048576 is too small; use at least 2097152",
    );
    refused("[limits]\noutbox_bytes_max = 262144", &[], "twice chat.sync_bytes_max");
}

#[test]
fn a_certificate_comes_with_its_key() {
    refused("[tls]\ncertificate_file = \"c\"", &[], "tls.certificate_file: it is of no use alone");
    refused("[tls]\nkey_file = \"k\"", &[], "set tls.certificate_file too");
    assert!(load("[tls]\ncertificate_file = \"c\"\nkey_file = \"k\"", &[]).is_ok());
    refused("[tls]\nmin_version = \"1.1\"", &[], "tls.min_version: \"1.1\" is not known");
}

#[test]
fn a_missing_file_is_named() {
    let sources = Sources { file: Some("/nowhere/hubbub.toml".into()), ..Sources::default() };
    let said = sources.load().unwrap_err().to_string();
    assert!(said.starts_with("/nowhere/hubbub.toml: ") && said.contains("--config"), "{said}");
}

#[test]
fn namespaces_are_sections_with_names() {
    let config = load(
        "[signals]\nsend = \"role:staff\"\n[namespaces.news]\nsubscribe = \"everyone\"\n\
         publish = [\"role:editor\", \"role:staff\"]\nhistory = \"claim\"\nhistory_size = 20\n\
         recover = true\n[namespaces.chat-2]\n",
        &[("HUBBUB_SIGNALS_SEND", "role:a, role:b")],
    )
    .unwrap();
    let live = config.live().unwrap();
    assert_eq!(live.signal, Who::Roles(["a".into(), "b".into()].into()));
    let [(closed, none), (name, news)] = &live.namespaces[..] else { panic!("{live:?}") };
    assert_eq!((&**closed, &**name), ("chat-2", "news"));
    assert_eq!((&none.subscribe, &none.publish), (&Permit::default(), &Permit::default()));
    assert_eq!(news.subscribe, Who::Everyone.into());
    assert_eq!(news.publish, Who::Roles(["editor".into(), "staff".into()].into()).into());
    assert_eq!(news.history, Permit { claim: true, ..Permit::default() });
    assert_eq!((news.history_size, news.recover, news.cache), (20, true, false));
    assert!(Config::default().live().unwrap().namespaces.is_empty());
    assert_eq!(Config::default().live().unwrap().signal, Who::Nobody);
}

#[test]
fn errors_in_namespaces_name_the_key() {
    for (file, expected) in [
        ("[namespaces.News]", "[namespaces.News]: this cannot be the name of a namespace"),
        ("[namespaces.news]\nhistory_size = -1", "news.history_size: -1 is too small"),
        ("[namespaces.news]\nhistory = [\"nobody\", \"token\"]", "news.history: \"token\" is for"),
        ("[namespaces.news]\njoin_leave = true", "news.join_leave: it needs track_presence"),
        ("[namespaces.news]\nrecover = true", "news.recover: it needs a history_size"),
        ("[namespaces.news]\ndelivery = \"volatile\"\ncache = true", "news.delivery: what is vola"),
        ("[namespaces.news]\ndelivery = \"fast\"", "news.delivery: \"fast\" is not known; use "),
        ("[namespaces.room]", "no word of the server's own"),
        ("[namespaces.user]", "no word of the server's own"),
        ("[namespaces]\nnews = 1", "namespaces.news: it is a section of its own"),
        ("[namespaces.news]\nread = 1", "namespaces.news.read: there is no such key; there are s"),
        ("[namespaces.news]\npublish = 1", "namespaces.news.publish: 1 is not a list of texts"),
        ("[namespaces.news]\npublish = \"all\"", "news.publish: \"all\" is not known; use "),
        ("[signals]\nsend = [\"all\"]", "signals.send: \"all\" is not known; use "),
    ] {
        refused(file, &[], expected);
    }
}
