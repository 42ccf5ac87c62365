//! One run over all cases.

#[test]
fn answers_of_the_compiler() {
    let cases = trybuild::TestCases::new();
    cases.pass("pass/*.rs");
    cases.compile_fail("fail/*/*.rs");
}
