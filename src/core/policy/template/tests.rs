use super::*;
use proptest::prelude::*;

fn variables() -> Variables {
    Variables {
        namespace: "shop".to_owned(),
        canary_pods: pod_pattern("web-7d4b9"),
        interval: "30s".to_owned(),
        service: r#"a\b"c"#.to_owned(),
        ..dummies()
    }
}

#[test]
fn variables_are_replaced_with_and_without_braces() {
    let query = r#"rate(x{namespace="$namespace",a="${namespace}_x",pod=~"$canary_pods"}[$interval])"#;
    let expected = r#"rate(x{namespace="shop",a="shop_x",pod=~"web-7d4b9-[b-df-hj-np-tv-xz24-9]{5}"}[30s])"#;
    assert_eq!(render(query, &variables()).unwrap(), expected);
}

#[test]
fn every_variable_of_the_documentation_is_known() {
    let all = "$namespace $deployment $service $canary_service $canary_pods $stable_pods $canary_hash $stable_hash \
               $interval";
    assert!(!render(all, &dummies()).unwrap().contains('$'));
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
        assert_eq!(render(query, &variables()).unwrap(), query);
    }
}

#[test]
fn a_dollar_after_an_escaped_pair_begins_a_variable_again() {
    assert_eq!(render("$$$namespace", &variables()).unwrap(), "$$shop");
}

#[test]
fn an_unknown_name_is_an_error_with_its_place() {
    let unknown = |name: &str, offset| Err(TemplateError::Unknown { name: name.to_owned(), offset });
    assert_eq!(render("é $nope", &variables()), unknown("nope", 3));
    assert_eq!(render("${canary_podz}", &variables()), unknown("canary_podz", 0));
    assert_eq!(render("$canary_pods_x", &variables()), unknown("canary_pods_x", 0));
    assert_eq!(render("$Namespace", &variables()), unknown("Namespace", 0));
    assert_eq!(render("x ${namespace", &variables()), Err(TemplateError::Unclosed { offset: 2 }));
    assert_eq!(render("${namespace x}", &variables()), Err(TemplateError::Unclosed { offset: 0 }));
}

#[test]
fn values_can_not_leave_their_string() {
    assert_eq!(render(r#"x{a="$service"}"#, &variables()).unwrap(), r#"x{a="a\\b\"c"}"#);
}

#[test]
fn a_query_names_one_version_only_by_the_canarys_variables() {
    for query in ["x{pod=~\"$canary_pods\"}", "x{hash=\"${canary_hash}\"}", "x{service=\"$canary_service\"}"]
    {
        assert!(names_one_version(query), "{query}");
    }
    for query in [
        "x{service=\"$service\"}",
        "x{pod=~\"$stable_pods\"}",
        "canary_pods",
        "$$canary_pods",
        "${canary_pods",
    ] {
        assert!(!names_one_version(query), "{query}");
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
        ("x", None),
        ("1", None),
        ("rate(x[", None),
        ("rate(x[5m])", Some(300)),
        ("rate(x[$interval])", Some(60)),
        ("rate(x[5m]) / rate(y[10m])", Some(600)),
        ("sum by (a) (-(rate(x[2m])))", Some(120)),
        ("x offset 5m", Some(300)),
        ("rate(x[5m] offset 1m)", Some(360)),
        ("rate(x[5m] offset -1m)", Some(240)),
        ("max_over_time(rate(x[1m])[10m:30s])", Some(660)),
        ("max_over_time(rate(x[1m])[10m:30s] offset 1m)", Some(720)),
        ("histogram_quantile(0.9, sum by (le) (rate(x_bucket[3m])))", Some(180)),
        ("topk(scalar(count_over_time(x[7m])), y)", Some(420)),
    ] {
        assert_eq!(longest_range(query), seconds.map(Duration::from_secs), "{query}");
    }
}

#[test]
fn a_query_is_checked_with_its_variables_in_place() {
    for query in ["1", "vector(1)", r#"sum(rate(x{pod=~"$canary_pods",code!~"5.."}[$interval]))"#] {
        assert_eq!(check(query), Ok(()), "{query}");
    }
    assert!(matches!(check("sum(rate(x[1m])"), Err(TemplateError::Syntax { .. })));
    assert!(matches!(check("x{a=\"$nope\"}"), Err(TemplateError::Unknown { offset: 5, .. })));
    assert!(matches!(check("x[5m]"), Err(TemplateError::WrongType { .. })));
    assert!(matches!(check("\"text\""), Err(TemplateError::WrongType { .. })));
}

proptest! {
    #[test]
    fn a_query_without_dollars_is_left_alone_and_no_query_panics(query in "[^$]*", odd in "[$ {}a1é]*") {
        prop_assert_eq!(render(&query, &variables()).unwrap(), query);
        let _ = (render(&odd, &variables()), names_one_version(&odd), longest_range(&odd));
    }

    #[test]
    fn any_value_stays_within_its_double_quotes(value in "[a-z\\\\\"\n]{0,20}") {
        let variables = Variables { service: value.clone(), ..dummies() };
        let rendered = render("x{a=\"$service\"}", &variables).unwrap();
        let Ok(Expr::VectorSelector(selector)) = parser::parse(&rendered) else {
            return Err(TestCaseError::fail(format!("not a selector: {rendered}")));
        };
        prop_assert_eq!(&selector.matchers.matchers[0].value, &value);
        prop_assert_eq!(selector.matchers.matchers.len(), 1);
    }
}

#[test]
fn the_list_of_names_is_what_is_known() {
    for name in NAMES {
        assert!(check(&format!("up{{a=\"${name}\"}}")).is_ok(), "{name}");
    }
    let Variables {
        namespace: _,
        deployment: _,
        service: _,
        canary_service: _,
        canary_pods: _,
        stable_pods: _,
        canary_hash: _,
        stable_hash: _,
        interval: _,
    } = Variables::default();
}
