//! Random runs of the whole switch (`R-63`). `TANDEM_SEEDS=1000` runs more, `TANDEM_SEEDS=17..18` just those.

use sim::campaign;

fn seeds() -> std::ops::Range<u64> {
    let text = std::env::var("TANDEM_SEEDS").unwrap_or_else(|_| "1000".into());
    let number = |t: &str| t.parse().unwrap_or_else(|_| panic!("TANDEM_SEEDS={text}"));
    match text.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => 0..number(&text),
    }
}

#[test]
fn the_oracle_holds() {
    let (mut failed, mut answered, mut crashes, mut survived) = (Vec::new(), 0, 0, 0);
    for seed in seeds() {
        match campaign::run(seed) {
            Ok(outcome) => {
                answered += outcome.answered;
                crashes += outcome.crashes;
                survived += outcome.survived;
            }
            Err(error) => failed.push((seed, error)),
        }
    }
    println!("{answered} answered calls, {crashes} crashes, which {survived} calls outlived");
    let list: Vec<u64> = failed.iter().map(|(seed, _)| *seed).collect();
    let first: Vec<String> = failed.into_iter().take(3).map(|(_, error)| error).collect();
    assert!(list.is_empty(), "{} seeds failed: {list:?}\n\n{}", list.len(), first.join("\n"));
    assert!(survived > 0 || crashes < 20, "calls outlive crashes");
    assert!(answered > 0, "a campaign in which nobody answers proves nothing");
}

#[test]
fn a_seed_decides_a_run() {
    for seed in [1, 2, 3, 5, 8] {
        let (first, second) = (campaign::run(seed), campaign::run(seed));
        assert_eq!(first, second, "seed {seed}");
    }
    assert_ne!(campaign::run(1).map(|o| o.hash), campaign::run(2).map(|o| o.hash));
}
