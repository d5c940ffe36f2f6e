//! The histogram as a picture.

use hotrow::store::Bin;
use plotters::prelude::*;

use super::text::short;
use crate::output::grouped;
use crate::plot::{Area, COLOURS, FAINT, FONT, INK, Picture};

/// Norms, and how many rows have them.
pub(super) struct Histogram<'a> {
    pub(super) title: String,
    pub(super) bins: &'a [Bin],
}

impl Picture for Histogram<'_> {
    fn size(&self) -> (u32, u32) {
        (800, 420)
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
        let (Some(first), Some(last)) = (self.bins.first(), self.bins.last()) else {
            return area.draw_text(&self.title, &(FONT, 18).into_text_style(area).color(&INK), (24, 16));
        };
        // A single norm is drawn as a bar of some width.
        let margin = if first.from == last.to { first.from.abs().max(1.0) * 0.05 } else { 0.0 };
        let most = self.bins.iter().map(|bin| bin.count).max().unwrap_or(0);
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, (FONT, 18).into_font().color(&INK))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(84)
            .build_cartesian_2d(first.from - margin..last.to + margin, 0.0..most as f64 * 1.05)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(FAINT.mix(0.4))
            .light_line_style(TRANSPARENT)
            .axis_style(FAINT)
            .label_style((FONT, 13).into_font().color(&INK))
            .x_label_formatter(&|norm| short(*norm))
            .y_label_formatter(&|count| grouped(*count as usize))
            .x_desc("Euclidean norm")
            .y_desc("rows")
            .draw()?;
        chart.draw_series(self.bins.iter().map(|bin| {
            let corners = [(bin.from - margin, 0.0), (bin.to + margin, bin.count as f64)];
            let mut bar = Rectangle::new(corners, COLOURS[0].filled());
            bar.set_margin(0, 0, 1, 1);
            bar
        }))?;
        Ok(())
    }
}
