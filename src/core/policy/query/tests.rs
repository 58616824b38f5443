use super::*;
use proptest::prelude::*;

fn variables() -> Variables {
    Variables {
        namespace: "shop".to_owned(),
        canary_pods: pod_pattern("web-7d4b9"),
        service: r#"a\b"c"#.to_owned(),
        ..dummies()
    }
}

const MINUTE: Duration = Duration::from_mins(1);

/// Renders a text, `PromQL` or not.
fn sent(text: &str, variables: &Variables) -> Result<String, QueryError> {
    pieces(text, Duration::from_secs(30)).map(|pieces| render(&pieces, variables))
}

#[test]
fn variables_are_replaced_with_and_without_braces() {
    let query = r#"rate(x{namespace="$namespace",a="${namespace}_x",pod=~"$canary_pods"}[$interval])"#;
    let expected =
        r#"rate(x{namespace="shop",a="shop_x",pod=~"web-7d4b9-[b-df-hj-np-tv-xz24-9]{5}"}[30000ms])"#;
    assert_eq!(sent(query, &variables()).unwrap(), expected);
    let query = Query::compile(query, Duration::from_secs(30)).unwrap();
    assert_eq!(query.render(&variables()), expected);
}

#[test]
fn every_variable_of_the_documentation_is_known() {
    let all = "$namespace $deployment $service $canary_service $canary_pods $stable_pods $canary_hash $stable_hash \
               $interval";
    assert_eq!(names().collect::<Vec<_>>().join(" "), all);
    assert!(!sent(all, &dummies()).unwrap().contains('$'));
}

#[test]
fn dollars_that_begin_no_name_stay() {
    for query in [
        r#"label_replace(x, "a", "$1", "b", "(.*)")"#,
        r#"label_replace(x, "a", "${1}-$2x", "b", "(.*)")"#,
        r#"x{a=~"foo$"}"#,
        r#"x{a=~"(foo$|bar$)"}"#,
        r#"x{a="$$"}"#,
        r#"x{a="$$namespace"}"#,
        r#"x{a="$é"}"#,
        "$",
        "${}",
        "",
    ] {
        assert_eq!(sent(query, &variables()).unwrap(), query);
    }
}

#[test]
fn a_dollar_after_an_escaped_pair_begins_a_variable_again() {
    assert_eq!(sent("$$$namespace", &variables()).unwrap(), "$$shop");
}

#[test]
fn an_unknown_name_is_an_error_with_its_place() {
    let unknown = |name: &str, offset| Err(QueryError::Unknown { name: name.to_owned(), offset });
    assert_eq!(sent("é $nope", &variables()), unknown("nope", 3));
    assert_eq!(sent("${canary_podz}", &variables()), unknown("canary_podz", 0));
    assert_eq!(sent("$canary_pods_x", &variables()), unknown("canary_pods_x", 0));
    assert_eq!(sent("$Namespace", &variables()), unknown("Namespace", 0));
    assert_eq!(sent("x ${namespace", &variables()), Err(QueryError::Unclosed { offset: 2 }));
    assert_eq!(sent("${namespace x}", &variables()), Err(QueryError::Unclosed { offset: 0 }));
}

#[test]
fn values_can_not_leave_their_string() {
    assert_eq!(sent(r#"x{a="$service"}"#, &variables()).unwrap(), r#"x{a="a\\b\"c"}"#);
}

#[test]
fn a_query_names_one_version_only_by_the_canarys_variables() {
    let names_one = |text: &str| Query::compile(text, MINUTE).unwrap().names_one_version();
    for query in ["x{pod=~\"$canary_pods\"}", "x{hash=\"${canary_hash}\"}", "x{service=\"$canary_service\"}"]
    {
        assert!(names_one(query), "{query}");
    }
    for query in
        ["x{service=\"$service\"}", "x{pod=~\"$stable_pods\"}", "canary_pods", "x{a=\"$$canary_pods\"}"]
    {
        assert!(!names_one(query), "{query}");
    }
}

#[test]
fn the_pods_of_a_long_name_are_cut_where_the_api_server_cuts() {
    let name = |length: usize| "a".repeat(length);
    for (length, base, cut) in [(57, name(57) + "-", false), (58, name(58), true), (80, name(58), true)] {
        let expected = format!("{base}[b-df-hj-np-tv-xz24-9]{{5}}");
        assert_eq!(pod_pattern(&name(length)), expected);
        assert_eq!(is_cut(&name(length)), cut);
    }
    assert!(pod_pattern("a.b-1").starts_with("a[.]b-1-["));
}

#[test]
fn the_random_part_matches_exactly_the_api_servers_alphabet() {
    let class = pod_pattern("x");
    let class = class.strip_prefix("x-[").unwrap().strip_suffix("]{5}").unwrap();
    let spec: Vec<char> = class.chars().collect();
    let (mut matched, mut at) = (String::new(), 0);
    while at < spec.len() {
        if spec.get(at + 1) == Some(&'-') {
            matched.extend(spec[at]..=spec[at + 2]);
            at += 3;
        } else {
            matched.push(spec[at]);
            at += 1;
        }
    }
    let mut alphabet: Vec<char> = "bcdfghjklmnpqrstvwxz2456789".chars().collect();
    let mut matched: Vec<char> = matched.chars().collect();
    alphabet.sort_unstable();
    matched.sort_unstable();
    assert_eq!(matched, alphabet);
}

#[test]
fn listed_pods_are_alternatives_and_none_match_nothing() {
    assert_eq!(listed(["a.b-x", "c"].into_iter()), "a[.]b-x|c");
    assert_eq!(listed([].into_iter()), "-");
}

#[test]
fn a_query_reaches_back_by_range_offset_and_subquery() {
    for (query, seconds) in [
        ("x", 0),
        ("x offset -5m", 0),
        ("1", 0),
        ("rate(x[5m])", 300),
        ("rate(x[$interval])", 60),
        ("rate(x[5m]) / rate(y[10m])", 600),
        ("sum by (a) (-(rate(x[2m])))", 120),
        ("x offset 5m", 300),
        ("rate(x[5m] offset 1m)", 360),
        ("rate(x[5m] offset -1m)", 240),
        ("max_over_time(rate(x[1m])[10m:30s])", 660),
        ("max_over_time(rate(x[1m])[10m:30s] offset 1m)", 720),
        ("histogram_quantile(0.9, sum by (le) (rate(x_bucket[3m])))", 180),
        ("topk(scalar(count_over_time(x[7m])), y)", 420),
    ] {
        let compiled = Query::compile(query, MINUTE).unwrap();
        assert_eq!(compiled.reach().ranges(), Duration::from_secs(seconds), "{query}");
    }
}

#[test]
fn an_instant_selector_reads_samples_of_up_to_the_lookback() {
    for (query, seconds) in [
        ("1", 0),
        ("x", 120),
        ("x offset 5m", 420),
        ("x offset -1m", 60),
        ("x offset -5m", 0),
        ("rate(x[1m])", 60),
        ("rate(x[5m]) / y", 300),
        ("rate(x[1m]) / y", 120),
        ("max_over_time(x[10m:30s])", 720),
        ("max_over_time(rate(x[1m])[10m:30s])", 660),
        ("topk(scalar(x), rate(y[1m]))", 120),
        ("sum(x) / count(x)", 120),
    ] {
        let compiled = Query::compile(query, MINUTE).unwrap();
        assert_eq!(compiled.reach().within(2 * MINUTE), Duration::from_secs(seconds), "{query}");
    }
}

#[test]
fn a_value_without_data_is_found_in_every_spelling() {
    for (query, expected) in [
        ("sum(x)", false),
        ("sum(x) or vector(0)", true),
        ("sum(x) OR\n  on () vector( 1 )", true),
        ("(sum(x) or (vector(1)))", true),
        ("sum(x) or -vector(1) * 0", true),
        ("sum(x) or label_replace(vector(1), \"a\", \"b\", \"\", \"\")", true),
        ("sum(x) or on() (absent(x) * 0)", true),
        ("vector(1) or sum(x)", true),
        ("clamp_max(sum(x) or vector(0), 1)", true),
        ("sum(sum(x) or vector(0)) / 2", true),
        ("vector(1)", true),
        ("1", true),
        ("time()", true),
        ("sum(x) or sum(y)", false),
        ("sum(x) / (sum(y) or vector(1))", false),
        ("1 - (sum(x) or vector(0)) / sum(y)", false),
        ("vector(1) and on() x", false),
        ("vector(1) unless on() x", true),
        ("x unless on() vector(1)", false),
        ("vector(scalar(x))", false),
        ("rate(x[5m])", false),
    ] {
        assert_eq!(Query::compile(query, MINUTE).unwrap().has_fallback(), expected, "{query}");
    }
}

#[test]
fn a_string_between_backticks_is_sent_as_it_was_written() {
    let text = r"sum(rate(x{path=~`/api/v\d+/.*`,pod=~`$canary_pods`}[1m]))";
    let sent = Query::compile(text, MINUTE).unwrap().render(&variables());
    assert_eq!(sent, r"sum(rate(x{path=~`/api/v\d+/.*`,pod=~`web-7d4b9-[b-df-hj-np-tv-xz24-9]{5}`}[1m]))");
    assert!(Query::compile("x{a=`open}", MINUTE).is_err());
}

#[test]
fn a_query_is_checked_with_its_variables_in_place() {
    let check = |text: &str| Query::compile(text, MINUTE);
    for query in ["1", "vector(1)", r#"sum(rate(x{pod=~"$canary_pods",code!~"5.."}[$interval]))"#] {
        assert!(Query::compile(query, MINUTE).is_ok(), "{query}");
    }
    assert!(matches!(check("sum(rate(x[1m])"), Err(QueryError::Syntax { .. })));
    assert!(matches!(check("x{a=\"$nope\"}"), Err(QueryError::Unknown { offset: 5, .. })));
    assert!(matches!(check("x[5m]"), Err(QueryError::WrongType { .. })));
    assert!(matches!(check("\"text\""), Err(QueryError::WrongType { .. })));
}

proptest! {
    #[test]
    fn a_query_without_dollars_is_left_alone_and_no_query_panics(query in "[^$]*", odd in "[$ {}a1é]*") {
        prop_assert_eq!(sent(&query, &variables()).unwrap(), query);
        let _ = Query::compile(&odd, MINUTE);
    }

    #[test]
    fn any_value_stays_within_its_double_quotes(value in "[a-z\\\\\"\n]{0,20}") {
        let variables = Variables { service: value.clone(), ..dummies() };
        let rendered = sent("x{a=\"$service\"}", &variables).unwrap();
        let Ok(Expr::VectorSelector(selector)) = parser::parse(&rendered) else {
            return Err(TestCaseError::fail(format!("not a selector: {rendered}")));
        };
        prop_assert_eq!(&selector.matchers.matchers[0].value, &value);
        prop_assert_eq!(selector.matchers.matchers.len(), 1);
    }
}

#[test]
fn each_name_is_known() {
    for name in names() {
        assert!(Query::compile(&format!("up{{a=\"{name}\"}}"), MINUTE).is_ok(), "{name}");
    }
}

#[test]
fn the_window_of_an_interval_is_known_once_the_query_is_compiled() {
    let before = parsed();
    let query = Query::compile("rate(x[$interval] offset 5s)", Duration::from_secs(15)).unwrap();
    assert_eq!((query.reach().ranges(), parsed()), (Duration::from_secs(20), before + 1));
    assert_eq!(query.render(&dummies()), "rate(x[15000ms] offset 5s)");
    let _ = (query.reach(), query.names_one_version(), query.text());
    assert_eq!(parsed(), before + 1, "only compiling parses");
}
