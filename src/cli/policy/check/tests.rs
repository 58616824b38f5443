use super::*;

const TEXT: &str = r"# A file of several documents.
apiVersion: v1
kind: Service
metadata: {name: web}
---
apiVersion: steelyard.io/v1alpha1
kind: RolloutPolicy
metadata: {name: bad}
spec:
  strategy:
    canary:
      steps:
      - {weight: 25, duration: 5m}
      - {wieght: 50}
      - weight: 5
  traffic:
    gatewayAPI: {}
  analysis:
    metrics:
    - name: a
      query: sum(
      min: 1
---
apiVersion: v1
kind: List
items:
- apiVersion: steelyard.io/v1alpha1
  kind: ClusterRolloutPolicy
  metadata: {name: good}
  spec: {strategy: {canary: {steps: [{weight: 5}]}}, traffic: {gatewayAPI: {}}}
- apiVersion: steelyard.io/v1alpha1
  kind: RolloutPolicy
  metadata: {name: late}
  spec: {strategy: {canary: {steps: [{weight: 5}]}}, traffic: {gatewayAPI: {}}, deadline: soon}
";

#[test]
fn every_error_has_file_line_column_and_path() {
    let mut report = Report::default();
    report.file("p.yaml", TEXT, true);
    report.findings.sort();
    let text = report.text(&[]);
    let starts = [
        "p.yaml:14:10: error: spec.strategy.canary.steps[1].wieght: unknown field (did you mean weight?)",
        "p.yaml:15:17: error: spec.strategy.canary.steps[2].weight: weights must rise",
        "p.yaml:21:14: error: spec.analysis.metrics[0].query: not a valid query",
        "p.yaml:34:91: error: spec.deadline: must be a duration from 1s",
        "p.yaml:27: ClusterRolloutPolicy good: ok",
    ];
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), starts.len(), "{text}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line} / {start}");
    }
    let json = report.json(&[]);
    assert_eq!(json["findings"][1]["line"], 15);
    assert_eq!(json["findings"][0]["sort"], "UnknownField");
    assert_eq!(json["policies"][1]["name"], "good");
    assert_eq!(json["policies"][1]["ok"], true);
}

#[test]
fn invalid_yaml_in_a_directory_is_reported_only_if_it_mentions_policies() {
    let mut report = Report::default();
    report.file("chart.yaml", "{{ if .Values.x }}\na: [\n", false);
    assert!(report.findings.is_empty());
    report.file("named.yaml", "{{ if .Values.x }}\na: [\n", true);
    report.file("p.yaml", "kind: RolloutPolicy\nspec: [\n", false);
    let files: BTreeSet<_> = report.findings.iter().map(|finding| finding.file.as_str()).collect();
    assert_eq!(files, ["named.yaml", "p.yaml"].into());
}

#[test]
fn the_policies_of_this_repository_have_no_errors_or_warnings() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let mut unread = Vec::new();
    let files = files(&[folder], &mut unread);
    assert!(unread.is_empty() && files.len() >= 6, "{unread:?} {files:?}");
    for (path, _) in files {
        let mut report = Report::default();
        report.file(&path.display().to_string(), &text(&path).expect("read"), true);
        assert_eq!(report.findings, [], "{}", path.display());
        assert!(!report.policies.is_empty(), "{}", path.display());
    }
}
