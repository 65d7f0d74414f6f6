//! What is refused, with which line, and within which bounds.

use proptest::prelude::*;

use super::properties::values;
use super::*;

/// Parses and renders, on a stack that is a quarter of what a worker has.
fn run(text: &str) -> Result<String, TemplateError> {
    let text = text.to_owned();
    let run = move || {
        let rendered = Template::parse(&text)?.render(values("s3cret"))?;
        Ok(rendered.to_string())
    };
    let thread = std::thread::Builder::new().stack_size(512 << 10);
    thread.spawn(run).unwrap().join().unwrap()
}

/// The line and the kind of the error.
fn refused(text: &str) -> (usize, ErrorKind) {
    match run(text) {
        Ok(output) => panic!("{text:.200}: rendered to {output:.200}"),
        Err(TemplateError { line, kind }) => (line, kind),
    }
}

fn statement(name: &str) -> ErrorKind {
    ErrorKind::Statement(name.to_owned())
}

#[test]
fn the_seven_values_are_printed_as_they_are() {
    let text = "{{ clientId }} {{ clientSecret }} {{ issuer }} {{ introspectionEndpoint }} {{ tokenEndpoint }} {{ projectId }} {{ appId }}\n";
    let secret = "<b>&'\"\\{{ clientId }}é";
    let values = values(secret);
    let rendered = Template::parse(text).unwrap().render(values).unwrap();
    let wanted: Vec<_> = values.pairs().map(|(_, value)| value).collect();
    assert_eq!(*rendered, wanted.join(" ") + "\n");
    assert_eq!(rendered.capacity(), rendered.len());
}

#[test]
fn the_language_is_what_the_page_says() {
    for (text, wanted) in [
        ("{{ 'a' ~ \"b\" }}", "ab"),
        ("{{ 'a\\n\\u00e9' }}", "a\né"),
        ("{{ 'x' if appId == '1' else 'y' }}", "y"),
        ("{{ ('x' if 'example' in issuer else 'y') | b64 }}", "eA=="),
        (
            "{% if appId != '1' and not (projectId == '2' or 'a' == 'b') %}x{% else %}y{% endif %}",
            "x",
        ),
        (
            "{% if appId == '1' %}x{% elif 'a' not in 'b' %}y{% endif %}",
            "y",
        ),
        ("a {#- {{ nothing }} -#} b", "ab"),
        ("{% raw %}{{ x }}{% for %}{% endraw %}", "{{ x }}{% for %}"),
        ("a\n  {{- 'b' -}}  \nc\n", "abc\n"),
        ("a\r\n{{ 'b' }}\r\n", "a\r\nb\r\n"),
        ("$x # ${ {{- 'a' -}} } %", "$x # ${a} %"),
        ("{{ '&<' | tojson }}", "\"&<\""),
    ] {
        assert_eq!(run(text).as_deref(), Ok(wanted), "{text}");
    }
}

/// Refused with that kind, on the line on which it is.
#[track_caller]
fn refused_on_each_line(text: &str, kind: &ErrorKind) {
    assert_eq!(refused(text), (1, kind.clone()), "{text}");
    let (line, found) = refused(&format!("# {{{{ clientId }}}}\n\n{text}"));
    assert_eq!((line, &found), (3, kind), "{text}");
}

#[test]
fn a_statement_that_is_not_in_the_language_is_refused_with_its_line() {
    use ErrorKind::Syntax;
    for (text, kind) in [
        (
            "{% for i in range(1000000000) %}x{% endfor %}",
            statement("for"),
        ),
        (
            "{% for c in clientSecret recursive %}{{ loop(c) }}{% endfor %}",
            statement("for"),
        ),
        ("{%- for i in 'ab' %}{% endfor %}", statement("for")),
        ("{% set a = 'a' %}", statement("set")),
        ("{% set a %}a{% endset %}", statement("set")),
        ("{% with a = 'a' %}{% endwith %}", statement("with")),
        ("{% filter b64 %}a{% endfilter %}", statement("filter")),
        (
            "{% autoescape true %}a{% endautoescape %}",
            statement("autoescape"),
        ),
        ("{% macro f() %}{{ f() }}{% endmacro %}", statement("macro")),
        ("{% call f() %}{% endcall %}", statement("call")),
        (
            "{% block a %}{{ self.a() }}{% endblock %}",
            statement("block"),
        ),
        ("{% include '/etc/passwd' %}", statement("include")),
        ("{% import 'a' as a %}", statement("import")),
        ("{% from 'a' import a %}", statement("from")),
        ("{% extends 'a' %}", statement("extends")),
        ("{% do clientId() %}", statement("do")),
        ("{% debug %}", statement("debug")),
        ("{% break %}", statement("break")),
        ("{% %}", Syntax),
        ("{% 'if' %}", Syntax),
        ("{% if appId == 'a' %}", Syntax),
        ("{% endif %}", Syntax),
        (
            "{% if appId == 'a' %}{% else %}{% else %}{% endif %}",
            Syntax,
        ),
        ("{{", Syntax),
        ("{{ 'a", Syntax),
        ("{{ 'a\\u00' }}", Syntax),
        ("{{ clientId clientSecret }}", Syntax),
        ("{{ clientId }", Syntax),
        ("{{ }}", Syntax),
        ("{{ § }}", Syntax),
        ("{% raw %}", Syntax),
        ("{# a", Syntax),
    ] {
        refused_on_each_line(text, &kind);
    }
}

#[test]
fn an_expression_that_is_not_in_the_language_is_refused_with_its_line() {
    use ErrorKind::{
        Arguments, Condition, Expression, MissingElse, SecretInCondition, UnknownFilter,
        UnknownName,
    };
    for (text, kind) in [
        ("{{ clientsecret }}", UnknownName("clientsecret".to_owned())),
        (
            "{{ 'a' if appId == secret else 'b' }}",
            UnknownName("secret".to_owned()),
        ),
        ("{{ loop }}", UnknownName("loop".to_owned())),
        ("{{ self }}", UnknownName("self".to_owned())),
        ("{{ clientId | upper }}", UnknownFilter("upper".to_owned())),
        (
            "{{ clientId | tojson.b64 }}",
            UnknownFilter("tojson.b64".to_owned()),
        ),
        (
            "{{ clientId | attr('x') }}",
            UnknownFilter("attr".to_owned()),
        ),
        ("{{ clientId | tojson(2) }}", Arguments("tojson".to_owned())),
        (
            "{{ clientId | b64(x=clientId) }}",
            Arguments("b64".to_owned()),
        ),
        ("{{ 'a' if appId == 'b' }}", MissingElse),
        ("{{ clientId.length }}", Expression),
        ("{{ clientId.__class__ }}", Expression),
        ("{{ clientId.upper() }}", Expression),
        ("{{ clientId[0] }}", Expression),
        ("{{ clientId[::-1] }}", Expression),
        ("{{ clientId('a') }}", Expression),
        ("{{ range(10) }}", Expression),
        ("{{ self.a() }}", Expression),
        ("{{ 'x' * 1000000000 }}", Expression),
        ("{{ 10 ** 1000000000 }}", Expression),
        ("{{ 999999999999999999999999999999 ** 9 }}", Expression),
        ("{{ 1e308 }}", Expression),
        ("{{ [1] * 1000000000 }}", Expression),
        ("{{ 'a' + 'b' }}", Expression),
        ("{{ 1 }}", Expression),
        ("{{ -1 }}", Expression),
        ("{{ true }}", Expression),
        ("{{ none }}", Expression),
        ("{{ () }}", Expression),
        ("{{ ('a', 'b') }}", Expression),
        ("{{ ['a'] }}", Expression),
        ("{{ {'a': 'b'} }}", Expression),
        ("{{ appId == 'a' }}", Expression),
        ("{{ clientId or 'a' }}", Expression),
        ("{{ not clientId }}", Expression),
        ("{{ clientId is defined }}", Expression),
        ("{% if issuer %}a{% endif %}", Condition),
        ("{% if true %}a{% endif %}", Condition),
        ("{% if appId < 'a' %}a{% endif %}", Condition),
        ("{% if 'a' == 'a' == 'a' %}a{% endif %}", Condition),
        ("{% if clientId is defined %}a{% endif %}", Condition),
        (
            "{% if clientSecret == 'a' %}a{% endif %}",
            SecretInCondition,
        ),
        (
            "{% if 'a' in clientSecret | b64 %}a{% endif %}",
            SecretInCondition,
        ),
        (
            "{{ 'a' if not ('b' == 'b' and 'a' != clientSecret) else 'b' }}",
            SecretInCondition,
        ),
    ] {
        refused_on_each_line(text, &kind);
    }
}

#[test]
fn a_template_that_prints_nothing_is_refused() {
    for text in [
        "",
        "\n",
        " \t\n",
        "{{ '' }}",
        "{# a #}",
        "{% if appId == 'a' %}x{% endif %}\n",
    ] {
        assert_eq!(refused(text), (1, ErrorKind::Empty), "{text}");
    }
}

#[test]
fn nesting_never_overflows_a_small_stack() {
    let all = |piece: &str| piece.repeat(MAX_TEMPLATE / piece.len() - 2);
    for piece in [
        "(",
        "[",
        "{",
        "-",
        "not ",
        "a.",
        "a~",
        "a|b|",
        "'a' if a else ",
        "a(",
        "a[",
        "{'a':",
        "+",
        "a**",
        "a is ",
        "a in ",
    ] {
        let text = format!("{{{{{}", all(piece));
        assert_eq!(refused(&text), (1, ErrorKind::TooComplex), "{piece}");
        // As deep as it can be, closed or not.
        for levels in [8, 15, 21, 31, 63] {
            for end in ["", "a", "a }}"] {
                let (line, kind) = refused(&format!("{{{{{}{end}", piece.repeat(levels)));
                assert!(kind != ErrorKind::Failed && line == 1, "{piece}: {kind}");
            }
        }
    }
    for piece in [
        "{%if 'a'=='a'%}",
        "{%if 'a'=='a'%}{%elif 'a'=='a'%}",
        "{%if a%}{%else%}",
    ] {
        assert_eq!(
            refused(&all(piece)),
            (1, ErrorKind::TooManyStatements),
            "{piece}"
        );
    }
    let deep = |levels: usize| format!("{{{{ {}'a'{} }}}}", "(".repeat(levels), ")".repeat(levels));
    assert_eq!(run(&deep(8)).as_deref(), Ok("a"));
    assert_eq!(refused(&deep(9)), (1, ErrorKind::TooComplex));
    let both = format!(
        "{}{}{}",
        "{% if 'a' == 'a' %}".repeat(20),
        deep(8),
        "{% endif %}".repeat(20)
    );
    assert_eq!(run(&both).as_deref(), Ok("a"));
    let parts = "'a'~".repeat(31);
    assert_eq!(
        run(&format!("{{{{ {parts}'a' }}}}")).map(|text| text.len()),
        Ok(32)
    );
}

#[test]
fn a_template_has_at_most_8_kib() {
    assert_eq!(
        run(&"a".repeat(MAX_TEMPLATE)).map(|text| text.len()),
        Ok(MAX_TEMPLATE)
    );
    assert_eq!(
        refused(&"a".repeat(MAX_TEMPLATE + 1)),
        (1, ErrorKind::TooLong)
    );
    assert_eq!(refused(&"{".repeat(10 << 20)), (1, ErrorKind::TooLong));
}

/// A value of this size, printed as a template says.
fn with_secret(text: &str, size: usize) -> Result<usize, TemplateError> {
    let secret = "s".repeat(size);
    let rendered = Template::parse(text)?.render(values(&secret));
    rendered.map(|text| text.len())
}

#[test]
fn the_output_has_at_most_64_kib_and_is_never_larger_on_the_way() {
    let error = |line, kind| Err(TemplateError::new(line, kind));
    assert_eq!(
        with_secret("{{ clientSecret }}", MAX_OUTPUT),
        Ok(MAX_OUTPUT)
    );
    for text in [
        "\n{{ clientSecret }}",
        "{{ 'a' }}\n{{ clientSecret }}{{ clientSecret }}",
    ] {
        assert_eq!(with_secret(text, MAX_OUTPUT), error(2, ErrorKind::TooLarge));
    }
    // Text that is not in an expression has no line.
    let text = "\n{{ clientSecret }}a";
    assert_eq!(
        with_secret(text, MAX_OUTPUT - 1),
        error(1, ErrorKind::TooLarge)
    );
    // Ten mebibytes from 8 KiB.
    let many = "{{clientSecret}}\n".repeat(480);
    assert_eq!(with_secret(&many, 4096), error(16, ErrorKind::TooLarge));
    // Filters and operators that make more of it each time.
    let filters = format!("{{{{ clientSecret{} }}}}", "|urlencode|b64".repeat(15));
    assert_eq!(with_secret(&filters, 4096), error(1, ErrorKind::TooLarge));
    let quotes = format!("{{{{ \"'\"{} }}}}", "|shellquote".repeat(30));
    assert_eq!(refused(&quotes), (1, ErrorKind::TooLarge));
    let texts = format!("{{{{ {}clientSecret }}}}", "clientSecret~".repeat(31));
    assert_eq!(with_secret(&texts, 4096), error(1, ErrorKind::TooManySteps));
}

#[test]
fn rendering_ends_after_a_bounded_number_of_steps() {
    // Each line works on more and more text, and prints a letter.
    let line = |filters: usize| {
        let filters = "|b64".repeat(filters);
        format!("{{{{ 'b' if 'x' in (issuer{filters}) else 'c' }}}}\n")
    };
    assert_eq!(run(&line(12).repeat(30)).map(|text| text.len()), Ok(60));
    let text = line(24).repeat(40);
    let (at, kind) = refused(&text);
    assert_eq!(kind, ErrorKind::TooManySteps);
    assert!((2..=40).contains(&at), "{at}");
}

#[test]
fn only_a_template_that_prints_the_client_secret_contains_it() {
    for (text, mentions, contains) in [
        ("{{ clientId }}", false, false),
        ("clientSecret", false, false),
        ("{# {{ clientSecret }} #}a", false, false),
        ("{% raw %}{{ clientSecret }}{% endraw %}", false, false),
        ("{{ clientSecret }}", true, true),
        ("{{ ('a' ~ clientSecret) | b64 | tojson }}", true, true),
        ("{{ clientSecret if appId == 'a' else 'b' }}", true, false),
        ("{{ clientSecret if appId != 'a' else 'b' }}", true, true),
        (
            "{% if appId == 'a' %}{{ clientSecret }}{% endif %}a",
            true,
            false,
        ),
    ] {
        let template = Template::parse(text).unwrap();
        let mentioned = check::check(text, &syntax().unwrap());
        assert_eq!(mentioned, Ok(mentions), "{text}");
        assert_eq!(
            template.contains_secret(values("x")),
            Ok(contains),
            "{text}"
        );
        assert_eq!(template.text(), text);
    }
}

#[test]
fn a_rehearsal_is_as_long_as_the_longest_client_secret_makes_it() {
    let rehearsed = |text: &str, length| {
        let longest = Template::parse(text).unwrap().rehearse(values(""), length);
        longest.map(|text| text.len())
    };
    for (text, length) in [
        ("{{ clientSecret }}", 64),
        ("{{ clientSecret | tojson }}", 2 + 2 * 64),
        ("{{ clientSecret | urlencode }}", 3 * 64),
        ("{{ clientSecret | shellquote }}", 2 + 4 * 64),
        ("{{ clientSecret | properties }}", 3 * 64),
        ("{{ clientSecret | b64 }}", 88),
        ("{{ clientId }}", 25),
    ] {
        assert_eq!(rehearsed(text, 64), Ok(length), "{text}");
    }
    assert_eq!(rehearsed("{{ clientSecret }}", 4096), Ok(4096));
    let large = "{{ clientSecret | urlencode }}".repeat(6);
    assert_eq!(rehearsed(&large, 3600), Ok(64_800));
    assert_eq!(
        rehearsed(&large, 3700),
        Err(TemplateError::new(1, ErrorKind::TooLarge))
    );
    for length in 1..200 {
        for characters in WORST_CASES {
            assert_eq!(worst_case(characters, length).len(), length);
        }
    }
}

#[test]
fn an_error_has_a_sentence_and_quotes_only_what_the_template_says() {
    let say = |text: &str| run(text).unwrap_err().to_string();
    assert_eq!(
        say("a\n{{ clientId | upper }}"),
        "line 2: there is no filter \"upper\"; the filters are tojson, b64, urlencode, shellquote, properties"
    );
    assert_eq!(
        say("{% for a in b %}"),
        "line 1: the statement \"for\" is not available; use if, elif, else, endif"
    );
    let long = say(&format!("{{{{ {} }}}}", "a".repeat(5000)));
    assert!(long.len() < 250, "{long}");
    assert_eq!(
        say("{{ issuer | b64(1) }}"),
        "line 1: the filter \"b64\" takes no arguments"
    );
}

/// What templates are made of, in the language and not.
const PIECES: [&str; 56] = [
    "{{ ",
    " }}",
    "{% ",
    " %}",
    "{%- ",
    " -%}",
    "{# ",
    " #}",
    "if ",
    "elif ",
    "else ",
    "endif",
    "raw",
    "endraw",
    "clientId",
    "clientSecret",
    "issuer",
    "appId",
    " | ",
    "tojson",
    "b64",
    "urlencode",
    "shellquote",
    "properties",
    " ~ ",
    "'a'",
    "\"b\\\"\"",
    "'",
    "(",
    ")",
    " == ",
    " != ",
    " in ",
    " not ",
    " and ",
    " or ",
    "\n",
    " text ",
    "é",
    "1",
    "[",
    "]",
    "{",
    "}",
    ".",
    ",",
    "*",
    "-",
    "for ",
    "set ",
    "loop",
    "{{ clientSecret | shellquote | b64 }}",
    "{{ 'x' if appId == issuer else clientSecret | tojson }}",
    "{{ (clientId ~ ':' ~ clientSecret) | urlencode }}",
    "{% if 'a' in issuer %}",
    "{% endif %}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_put_together_from_pieces_of_templates_keeps_the_property(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 1..24)
    ) {
        properties::template(pieces.concat().as_bytes());
    }
}
