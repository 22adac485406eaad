//! The figures as a table, as JSON, and as a verdict.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use crate::contender::Sample;
use crate::measure::{ENVOY, Measured, PLAIN, PLAIN_AGAIN, PQLANE, Series};
use crate::statistics::{Random, Ratio, median, quantile, ratio};

/// pqlane may take this many times the plain proxy's CPU.
const MAX_OVER_PLAIN: f64 = 1.3;
/// pqlane has to take less than this many times Envoy's CPU.
const BELOW_ENVOY: f64 = 1.0;
/// The two records of CPU time may differ by this much before the table says so.
const MAX_RECORD_DIFFERENCE: f64 = 0.05;

/// Whether one of the two bounds holds, and what to say about it.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) holds: bool,
    pub(crate) line: String,
}

/// The comparisons that are made, where both sides were measured.
const COMPARED: [(&str, &str); 4] = [
    (PQLANE, PLAIN),
    (PQLANE, ENVOY),
    (ENVOY, PLAIN),
    (PLAIN_AGAIN, PLAIN),
];

fn compared(measured: &Measured, of: &str, to: &str) -> Option<Ratio> {
    let random = Random::new(measured.arguments.seed);
    Some(ratio(&measured.micros(of)?, &measured.micros(to)?, random))
}

fn each(series: &Series, figure: impl Fn(&Sample) -> f64) -> Vec<f64> {
    series.samples.iter().map(figure).collect()
}

fn micros(part: Duration, sample: &Sample) -> f64 {
    part.as_secs_f64() * 1e6 / f64::from(sample.requests)
}

/// By how much the coarse record of CPU time exceeds the fine one, over all blocks.
fn record_difference(series: &Series) -> f64 {
    let fine: Duration = series
        .samples
        .iter()
        .map(|sample| sample.egress + sample.ingress)
        .sum();
    let coarse: Duration = series.samples.iter().map(|sample| sample.ticks).sum();
    coarse.as_secs_f64() / fine.as_secs_f64() - 1.0
}

/// The table that a person reads.
pub(crate) fn table(measured: &Measured) -> String {
    let arguments = &measured.arguments;
    let mut text = format!(
        "CPU of both proxy processes per request: medians of {} blocks of {} requests,\n\
         {} connections, {} worker(s) each, answers of {} B\n\n\
         {:<12} {:>10} {:>17} {:>10} {:>10} {:>10}\n",
        arguments.blocks,
        arguments.requests,
        arguments.connections,
        arguments.workers,
        arguments.answer_bytes,
        "",
        "µs/request",
        "middle half",
        "egress",
        "ingress",
        "requests/s",
    );
    for series in &measured.series {
        let both = each(series, Sample::micros_per_request);
        let middle = format!(
            "{:.1} to {:.1}",
            quantile(&both, 0.25),
            quantile(&both, 0.75)
        );
        let _infallible = writeln!(
            text,
            "{:<12} {:>10.1} {:>17} {:>10.1} {:>10.1} {:>10.0}",
            series.name,
            median(&both),
            middle,
            median(&each(series, |sample| micros(sample.egress, sample))),
            median(&each(series, |sample| micros(sample.ingress, sample))),
            median(&each(series, |sample| f64::from(sample.requests)
                / sample.elapsed.as_secs_f64())),
        );
    }
    text.push('\n');
    for (of, to) in COMPARED {
        if let Some(Ratio {
            estimate,
            low,
            high,
        }) = compared(measured, of, to)
        {
            let name = format!("{of} / {to}");
            let _infallible = writeln!(
                text,
                "{name:<22} {estimate:.3}  (95 %: {low:.3} to {high:.3})"
            );
        }
    }
    for series in &measured.series {
        let difference = record_difference(series);
        if difference.abs() > MAX_RECORD_DIFFERENCE {
            let percent = difference * 100.0;
            let _infallible = writeln!(
                text,
                "note: utime + stime of {} is {percent:+.0} % of the figures above",
                series.name
            );
        }
    }
    text.push('\n');
    text + &measured.environment.lines().join("\n")
}

/// The same, with every block's figures, for a program.
pub(crate) fn json(measured: &Measured) -> Value {
    let arguments = &measured.arguments;
    let series = measured.series.iter().map(|series| {
        json!({
            "name": series.name,
            "median_us_per_request": median(&each(series, Sample::micros_per_request)),
            "utime_stime_difference": record_difference(series),
            "blocks": series.samples.iter().map(|sample| json!({
                "egress_us_per_request": micros(sample.egress, sample),
                "ingress_us_per_request": micros(sample.ingress, sample),
                "elapsed_s": sample.elapsed.as_secs_f64(),
            })).collect::<Vec<_>>(),
        })
    });
    let ratios = COMPARED.iter().filter_map(|(of, to)| {
        let Ratio {
            estimate,
            low,
            high,
        } = compared(measured, of, to)?;
        Some(json!({ "of": of, "to": to, "ratio": estimate, "low_95": low, "high_95": high }))
    });
    json!({
        "settings": {
            "blocks": arguments.blocks,
            "requests": arguments.requests,
            "warm_up": arguments.warm_up,
            "connections": arguments.connections,
            "workers": arguments.workers,
            "answer_bytes": arguments.answer_bytes,
            "seed": arguments.seed,
        },
        "environment": measured.environment.json(),
        "contenders": series.collect::<Vec<_>>(),
        "ratios": ratios.collect::<Vec<_>>(),
    })
}

/// Holds the figures against the two bounds; Envoy's only where Envoy was measured.
///
/// # Errors
/// When pqlane or the plain proxy was not measured.
pub(crate) fn check(measured: &Measured) -> anyhow::Result<Vec<Verdict>> {
    let plain = compared(measured, PQLANE, PLAIN)
        .context("--check needs figures of both pqlane and the plain proxy")?;
    let mut verdicts = vec![verdict(
        PLAIN,
        plain.estimate,
        plain.estimate <= MAX_OVER_PLAIN,
    )];
    if let Some(envoy) = compared(measured, PQLANE, ENVOY) {
        verdicts.push(verdict(ENVOY, envoy.estimate, envoy.estimate < BELOW_ENVOY));
    }
    Ok(verdicts)
}

fn verdict(to: &str, estimate: f64, holds: bool) -> Verdict {
    let bound = match to {
        PLAIN => format!("at most {MAX_OVER_PLAIN}"),
        _ => format!("below {BELOW_ENVOY}"),
    };
    let word = if holds { "ok" } else { "FAILED" };
    Verdict {
        holds,
        line: format!("check: {PQLANE} / {to} is {estimate:.3}, {bound}: {word}"),
    }
}
