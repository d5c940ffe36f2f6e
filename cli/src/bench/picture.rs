//! What was measured, as a picture: for each workload its speed, beside what this machine's memory can do.

use std::path::Path;

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::machine::Machine;
use super::measure::median;
use super::record::{Limit, Record};
use crate::plot::{self, Area, COLOURS, FAINT, FONT, INK, Picture};

const WIDTH: u32 = 960;
/// Room for the names of the workloads, of 14 points.
const NAMES: i32 = 260;
/// Room for the figures behind the bars.
const FIGURES: i32 = 70;
const MARGIN: i32 = 16;
/// From one workload to the next.
const LINE: i32 = 24;
const TOP: i32 = 132;
const BOTTOM: i32 = 76;
const TEXT: i32 = 15;
const SMALL: i32 = 13;

/// Records and their machine.
pub(super) struct Speeds<'a> {
    records: &'a [Record],
    machine: String,
    /// The limits of the machine that were measured: the medians over all workloads, in GB/s.
    ceilings: Vec<(Limit, f64)>,
}

/// Draws all records into a file.
///
/// # Errors
/// When it cannot be written.
pub(super) fn save(records: &[Record], machine: &Machine, path: &Path) -> Result<()> {
    // The processor, and how it was used; the table that is printed says the rest.
    let machine = machine.to_string();
    plot::save(&Speeds::new(records, machine.split(';').next().unwrap_or_default().to_owned()), path)
}

/// A speed in a record, if it was measured.
type Speed = fn(&Record) -> Option<f64>;

impl<'a> Speeds<'a> {
    fn new(records: &'a [Record], machine: String) -> Speeds<'a> {
        let limits: [(Limit, Speed); 3] = [
            (Limit::Copying, |record| Some(record.copy_limit_gb_per_s)),
            (Limit::InOrder, |record| record.scan_limit_gb_per_s),
            (Limit::RandomRows, |record| record.read_limit_gb_per_s),
        ];
        // What stays in the caches says nothing of the memory, unless there is nothing else.
        let large = |record: &&Record| record.rows * record.tables * record.row_bytes() >= 64 << 20;
        let speeds =
            |of: Speed, all: bool| -> Vec<f64> { records.iter().filter(|record| all || large(record)).filter_map(of).collect() };
        let ceiling = |(limit, of)| {
            let some = speeds(of, false);
            let speed = median(&if some.is_empty() { speeds(of, true) } else { some });
            speed.is_finite().then_some((limit, speed))
        };
        Speeds { records, machine, ceilings: limits.into_iter().filter_map(ceiling).collect() }
    }

    /// Where the bars are: from the left to the right end of the axis.
    fn axis(&self) -> (i32, i32) {
        (MARGIN + NAMES, WIDTH as i32 - MARGIN - FIGURES)
    }

    /// The end of the axis, in GB/s: a round number above all speeds.
    fn most(&self) -> f64 {
        let speeds = self.records.iter().map(|record| record.gb_per_s).chain(self.ceilings.iter().map(|&(_, speed)| speed));
        let most = speeds.filter(|speed| speed.is_finite()).fold(0.0, f64::max);
        let step = step(most);
        ((most / step).ceil() * step).max(step)
    }

    fn x(&self, speed: f64) -> i32 {
        let (left, right) = self.axis();
        let share = if speed.is_finite() { (speed / self.most()).clamp(0.0, 1.0) } else { 0.0 };
        left + (share * f64::from(right - left)).round() as i32
    }

    fn bottom(&self) -> i32 {
        TOP + LINE * self.records.len() as i32
    }
}

/// The distance of the marks on an axis that ends at `most`: 1, 2 or 5 times a power of ten, four to ten of them.
fn step(most: f64) -> f64 {
    let least = (most / 10.0).max(1e-9);
    let power = 10.0f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|&step| step >= least * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

fn colour(limit: Limit) -> RGBColor {
    match limit {
        Limit::Copying => COLOURS[4],
        Limit::InOrder => COLOURS[2],
        Limit::RandomRows => COLOURS[3],
    }
}

fn name(limit: Limit) -> &'static str {
    match limit {
        Limit::Copying => "copying",
        Limit::InOrder => "reading in order",
        Limit::RandomRows => "reading random rows",
    }
}

impl Picture for Speeds<'_> {
    fn size(&self) -> (u32, u32) {
        (WIDTH, (self.bottom() + BOTTOM) as u32)
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
        let text = |size: i32, colour: RGBColor, at: HPos| TextStyle {
            font: (FONT, size).into_font(),
            color: colour.to_backend_color(),
            pos: Pos::new(at, VPos::Center),
        };
        let (left, right) = self.axis();
        let (top, bottom) = (TOP - 6, self.bottom());
        area.draw_text("hotrow bench: GB/s of rows read and written", &text(20, INK, HPos::Left), (MARGIN, 24))?;

        // The axis.
        let (most, step) = (self.most(), step(self.most()));
        let mut mark = 0.0;
        while mark <= most * (1.0 + 1e-9) {
            let x = self.x(mark);
            area.draw(&PathElement::new([(x, top), (x, bottom)], RGBColor(0xe6, 0xe9, 0xec).stroke_width(1)))?;
            let figure = if step < 1.0 { format!("{mark:.1}") } else { format!("{mark:.0}") };
            area.draw_text(&figure, &text(SMALL, FAINT, HPos::Center), (x, bottom + 14))?;
            mark += step;
        }
        area.draw_text("GB/s", &text(SMALL, FAINT, HPos::Left), (right + 20, bottom + 14))?;

        // The workloads; a mark on each bar's line is its own limit, measured in turn with it.
        for (at, record) in self.records.iter().enumerate() {
            let middle = TOP + LINE * at as i32 + LINE / 2 - 3;
            area.draw_text(&shortened(&record.name), &text(TEXT, INK, HPos::Right), (left - 10, middle))?;
            let end = self.x(record.gb_per_s).max(left + 1);
            area.draw(&Rectangle::new([(left, middle - 7), (end, middle + 7)], COLOURS[0].filled()))?;
            let limit = self.x(record.limit_gb_per_s);
            let own = colour(record.limit()).filled();
            area.draw(&Rectangle::new([(limit - 2, middle - 10), (limit + 1, middle + 10)], own))?;
            let figure = format!("{:.1}", record.gb_per_s);
            area.draw_text(&figure, &text(SMALL, INK, HPos::Left), (end.max(limit + 1) + 6, middle))?;
        }

        // The machine.
        for (at, &(limit, speed)) in self.ceilings.iter().enumerate() {
            let (x, y) = (self.x(speed), 52 + 22 * at as i32);
            let line = colour(limit).stroke_width(2);
            area.draw(&PathElement::new([(x, y + 9), (x, bottom)], line))?;
            let label = format!("{}: {speed:.1}", name(limit));
            // On the side where there is room.
            let beyond = x > (left + right) / 2;
            let (place, from) = if beyond { (HPos::Right, x + 1) } else { (HPos::Left, x - 1) };
            area.draw_text(&label, &text(TEXT, colour(limit), place), (from, y))?;
        }
        let note = "bars: workloads; lines: what this memory can do; marks: the limit of each workload, measured in turn with it";
        area.draw_text(note, &text(SMALL, FAINT, HPos::Left), (MARGIN, bottom + 38))?;
        area.draw_text(&self.machine, &text(SMALL, FAINT, HPos::Left), (MARGIN, bottom + 58))
    }
}

/// A name that fits its column.
fn shortened(name: &str) -> String {
    const MOST: usize = 28;
    match name.char_indices().nth(MOST) {
        None => name.to_owned(),
        Some(_) => name.chars().take(MOST - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::sample;
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!([0.03, 0.9, 1.0, 9.0, 31.0, 55.0, 240.0].map(step), [0.005, 0.1, 0.1, 1.0, 5.0, 10.0, 50.0]);
    }

    #[test]
    fn a_picture_names_workloads_and_ceilings() {
        let mut records: Vec<Record> = (0..30).map(|at| sample(&format!("workload-{at}"), "gather", "f32", "f32")).collect();
        records[3].name = "a name that is much too long for its column".to_owned();
        records[4].limit_gb_per_s = f64::NAN;
        let speeds = Speeds::new(&records, "a machine".to_owned());
        assert_eq!(speeds.ceilings, [(Limit::Copying, 4.0), (Limit::RandomRows, 2.5)]);
        assert_eq!((speeds.most(), speeds.x(0.0), speeds.x(1e9)), (4.0, speeds.axis().0, speeds.axis().1));
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("bench.svg");
        plot::save(&speeds, &path).expect("a picture");
        let text = std::fs::read_to_string(path).expect("text");
        for part in ["workload-29", "a name that is much too lon…", "copying: 4.0", "reading random rows: 2.5", "a machine"] {
            assert!(text.contains(part), "{part}");
        }
    }
}
