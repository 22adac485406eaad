use super::*;

fn read(body: &[u8]) -> Result<(), CallFault> {
    let mut scanner = Scanner::open(body, &JsonLimits::default())?;
    scanner.value()?;
    scanner.end()
}

/// Reads a body as an object that is interpreted; gives its names, and what was noted.
fn names(body: &str, known: &[Known]) -> (Vec<String>, Option<CallFault>) {
    let mut scanner = Scanner::open(body.as_bytes(), &JsonLimits::default()).unwrap();
    let mut names = Vec::new();
    scanner
        .object(known, |scanner, name| {
            names.push(name.to_owned());
            scanner.value().map(drop)
        })
        .unwrap();
    scanner.end().unwrap();
    (names, scanner.noted())
}

#[test]
fn every_kind_of_value_is_read() {
    for body in [
        "0",
        "-0",
        "-0.5e+10",
        "1E5",
        "1e-400",
        "12345678901234567890",
        r#""""#,
        r#""a\"\\\/\b\f\n\r\tz""#,
        r#""\u0000\uD83D\uDE00\u00e9 é 😀 ""#,
        "\"\u{7f}\"",
        "true",
        "false",
        "null",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        " [1 , [2,{\"a\" : [ ]}] ,{}]\r\n\t",
        r#"{"a":{"b":[{"c":null}],"d":{}},"":0}"#,
    ] {
        assert_eq!(read(body.as_bytes()), Ok(()), "{body}");
    }
}

#[test]
fn what_some_readers_take_for_json_is_refused_where_it_goes_wrong() {
    for (body, at) in [
        ("", 0),
        (" ", 1),
        ("\u{feff}1", 0),
        ("1 2", 2),
        ("01", 1),
        ("-01", 2),
        ("+1", 0),
        (".5", 0),
        ("1.", 2),
        ("1.e1", 2),
        ("1e", 2),
        ("1e+", 3),
        ("-", 1),
        ("0x10", 1),
        ("1e400", 0),
        ("[-1e400]", 1),
        ("NaN", 0),
        ("-Infinity", 1),
        ("Infinity", 0),
        ("nul", 0),
        ("nulls", 4),
        ("True", 0),
        ("'a'", 0),
        ("\"", 1),
        ("\"a", 2),
        ("\"a\nb\"", 2),
        ("\"\t\"", 1),
        ("\"\u{1f}\"", 1),
        (r#""\a""#, 2),
        (r#""\u12"#, 2),
        (r#""\u12g4""#, 2),
        (r#""\u+123""#, 2),
        (r#""\ud800""#, 2),
        (r#""\ud800\n""#, 2),
        (r#""\ud800\u0041""#, 2),
        (r#""\udc00""#, 2),
        ("[1,]", 3),
        ("[,1]", 1),
        ("[1 2]", 3),
        ("[", 1),
        ("]", 0),
        ("[1}", 2),
        ("{\"a\":1]", 6),
        ("{\"a\":1,}", 7),
        ("{,}", 1),
        ("{a:1}", 1),
        ("{1:1}", 1),
        ("{\"a\"}", 4),
        ("{\"a\":}", 5),
        ("{\"a\" 1}", 5),
        ("{\"a\":1 \"b\":2}", 7),
        ("{\"a\":1", 6),
        ("[[[[1]]]", 8),
        ("// c\n1", 0),
        ("[1/**/]", 2),
        ("[1]\0", 3),
        ("\u{a0}1", 0),
    ] {
        let fault = Err(CallFault::NotJson { at });
        assert_eq!(read(body.as_bytes()), fault, "{body:?}");
    }
}

#[test]
fn a_number_too_long_for_a_double_is_refused_and_one_just_long_is_not() {
    let digits = |len| "9".repeat(len);
    assert_eq!(read(digits(308).as_bytes()), Ok(()));
    let fault = Err(CallFault::NotJson { at: 0 });
    assert_eq!(read(digits(310).as_bytes()), fault);
}

#[test]
fn a_string_is_checked_at_every_length_and_place() {
    for len in 0..80 {
        for place in 0..len {
            for (stop, is_json) in [("\\n", true), ("\u{1}", false), ("\"", false), ("é", true)] {
                let text: String = (0..len)
                    .map(|at| if at == place { stop } else { "x" })
                    .collect();
                let body = format!("[\"{text}\"]");
                assert_eq!(read(body.as_bytes()).is_ok(), is_json, "{body}");
            }
        }
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused_even_where_they_are_skipped() {
    for bytes in [
        &b"[\"\xff\"]"[..],
        b"{\"\xc0\x80\":1}",
        b"[\"\xed\xa0\x80\"]",
    ] {
        assert_eq!(read(bytes), Err(CallFault::NotUtf8));
    }
}

#[test]
fn depth_is_bounded_and_counts_what_is_interpreted_too() {
    let nested = |levels: usize| ["[".repeat(levels), "]".repeat(levels)].concat();
    assert_eq!(read(nested(64).as_bytes()), Ok(()));
    assert_eq!(read(nested(65).as_bytes()), Err(CallFault::TooDeep));

    let limits = JsonLimits {
        depth: 3,
        ..JsonLimits::default()
    };
    let within = |levels| {
        let body = format!("{{\"a\":{}}}", nested(levels));
        let mut scanner = Scanner::open(body.as_bytes(), &limits).unwrap();
        scanner.object(&[], |scanner, _| scanner.value().map(drop))
    };
    assert_eq!(within(2), Ok(()));
    assert_eq!(within(3), Err(CallFault::TooDeep));

    let unbounded = JsonLimits {
        depth: usize::MAX,
        ..JsonLimits::default()
    };
    let read_deep = |levels| {
        let body = nested(levels);
        let mut scanner = Scanner::open(body.as_bytes(), &unbounded).unwrap();
        scanner.value().map(|token| token.as_str() == body)
    };
    assert_eq!(read_deep(128), Ok(true));
    assert_eq!(read_deep(129), Err(CallFault::TooDeep));
}

#[test]
fn a_name_that_occurs_twice_is_noted_however_it_is_written() {
    for body in [
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"b":2,"\u0061":2}"#,
        r#"{"":1,"":2}"#,
    ] {
        assert_eq!(names(body, &[]).1, Some(CallFault::Duplicate), "{body}");
    }
    let twice = [known("taskId", &["task_id"])];
    let (seen, noted) = names(r#"{"task_id":1,"taskId":null}"#, &twice);
    assert_eq!(seen, ["taskId", "taskId"]);
    assert_eq!(noted, Some(CallFault::Duplicate));
    assert_eq!(names(r#"{"a":{"b":1},"b":{"a":1}}"#, &[]).1, None);
}

#[test]
fn names_are_told_apart_past_the_few_that_are_compared_one_by_one() {
    let object = |last: usize| {
        let members: Vec<String> = (0..40)
            .chain([last])
            .map(|n| format!("\"k{n}\":0"))
            .collect();
        format!("{{{}}}", members.join(","))
    };
    assert_eq!(names(&object(40), &[]).1, None);
    for last in [0, 15, 16, 17, 39] {
        assert_eq!(names(&object(last), &[]).1, Some(CallFault::Duplicate));
    }
}

#[test]
fn members_are_bounded() {
    let limits = JsonLimits {
        members: 3,
        ..JsonLimits::default()
    };
    let noted = |body: &str| {
        let mut scanner = Scanner::open(body.as_bytes(), &limits).unwrap();
        let read = scanner.object(&[], |scanner, _| scanner.value().map(drop));
        assert_eq!(read, Ok(()));
        scanner.noted()
    };
    assert_eq!(noted(r#"{"a":1,"b":2,"c":3}"#), None);
    assert_eq!(
        noted(r#"{"a":1,"b":2,"c":3,"d":4}"#),
        Some(CallFault::TooManyMembers)
    );
}

#[test]
fn a_known_name_in_another_case_is_noted() {
    let known = [plain("task"), known("taskId", &["task_id"])];
    for body in [
        r#"{"Task":1}"#,
        r#"{"TASK_ID":1}"#,
        r#"{"taskid":1}"#,
        r#"{"ta\u017fk":1}"#,
        r#"{"tas\u212a":1}"#,
        r#"{"task\u0130d":1}"#,
        r#"{"task\u0131D":1}"#,
    ] {
        let (_, noted) = names(body, &known);
        assert_eq!(noted, Some(CallFault::CaseVariant), "{body}");
    }
    for body in [r#"{"task":1}"#, r#"{"tasks":1}"#, r#"{"täsk":1}"#] {
        assert_eq!(names(body, &known).1, None, "{body}");
    }
}

#[test]
fn strings_stand_for_what_they_escape() {
    for (body, meant) in [
        (r#""""#, ""),
        (r#""plain é""#, "plain é"),
        (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
        (r#""\u0041\u00e9\u20AC\ud83d\ude00x""#, "Aé€😀x"),
        (r#""a\\u0041\\""#, "a\\u0041\\"),
    ] {
        let mut scanner = Scanner::open(body.as_bytes(), &JsonLimits::default()).unwrap();
        let token = scanner.value().unwrap();
        assert_eq!(token.string().unwrap(), meant);
        assert!(token.is(meant));
        assert!(!token.is(&format!("{meant}x")));
        assert!(!token.is(&format!("x{meant}")));
        assert_eq!(token.as_str(), body);
    }
}

#[test]
fn values_are_slices_of_the_body() {
    let body = br#" { "a" : [ 1, "x" ] , "b":"y"}"#;
    let mut scanner = Scanner::open(body, &JsonLimits::default()).unwrap();
    let mut met = Vec::new();
    scanner
        .object(&[], |scanner, _| {
            let token = scanner.value()?;
            met.push((token.kind(), &body[token.range_in(body).unwrap()]));
            assert_eq!(token.range_in(b"elsewhere"), None);
            Ok(())
        })
        .unwrap();
    let expected = [
        (Kind::Array, &b"[ 1, \"x\" ]"[..]),
        (Kind::String, b"\"y\""),
    ];
    assert_eq!(met, expected);
}

#[test]
fn leaves_come_in_order_and_without_names() {
    let body = br#"{"a":[1,{"b":"c"},[]],"d":null,"e":{"f":true}}"#;
    let mut scanner = Scanner::open(body, &JsonLimits::default()).unwrap();
    let mut leaves = Vec::new();
    scanner.leaves(|leaf| leaves.push(leaf.as_str())).unwrap();
    assert_eq!(leaves, ["1", "\"c\"", "null", "true"]);
}
