//! A step of an optimizer as a plain loop.

use half::{bf16, f16};

use super::gradient::{RowGradients, clip_by_norm, clip_by_value, dot};
use crate::element::{DType, Element};
use crate::error::{Error, Result};
use crate::optim::{Noise, Optimizer, Parts, RowRule, StepOptions, WithRule};
use crate::table::TableViewMut;

/// One step on the rows that have a gradient, ascending: see [`Optimizer`] for the order of things. The optimizer's state
/// changes, and its count of steps.
///
/// ```
/// use hotrow::{Adagrad, Ids, Optimizer, Table, reference};
///
/// let mut table = Table::<f32>::zeros(4, 1)?;
/// let mut optimizer = Optimizer::new(Adagrad { lr: 0.5, eps: 0.0, ..Adagrad::default() }, 4, 1)?;
/// let rows = reference::resolve(Ids::from(&[2, 0, 2]), 4)?;
/// let gradient = reference::gather_gradient(&rows, &[1.0f32, -3.0, 1.0], 1, None, false);
/// reference::step(&mut optimizer, table.view_mut(), &gradient)?;
/// assert_eq!(table.to_vec(), [0.5, 0.0, -0.5, 0.0]);
/// assert_eq!(optimizer.state().next().unwrap().1.to_vec(), [9.0, 0.0, 4.0, 0.0]);
/// # Ok::<(), hotrow::Error>(())
/// ```
///
/// # Errors
/// [`Error::OptimizerShape`] when the optimizer belongs to a table of another shape; [`Error::NonFiniteGradient`] when it is to
/// refuse such.
///
/// # Panics
/// When a row is beyond the last, or has fewer values than [`Optimizer::gradient_dim`].
pub fn step<E: Element>(optimizer: &mut Optimizer, table: TableViewMut<'_, E>, gradient: &RowGradients) -> Result<()> {
    optimizer.check_table(table.rows(), table.dim())?;
    let mut gradient = gradient.clone();
    if optimizer.finite_check() {
        for (&row, values) in &gradient {
            for (column, x) in values.iter().enumerate() {
                if !x.is_finite() {
                    return Err(Error::NonFiniteGradient { row, column, value: x.to_string() });
                }
            }
        }
    }
    if let Some(max) = optimizer.clip_norm() {
        clip_by_norm(&mut gradient, max);
    }
    let Parts { rule, step, options, states } = optimizer.parts();
    rule.prepare(step, Rows { table, gradient, options, states });
    optimizer.advance();
    Ok(())
}

struct Rows<'a, E> {
    table: TableViewMut<'a, E>,
    gradient: RowGradients,
    options: StepOptions,
    states: [TableViewMut<'a, f32>; 3],
}

impl<E: Element> WithRule for Rows<'_, E> {
    type Output = ();

    fn run<R: RowRule>(mut self, rule: R) {
        let dim = self.table.dim();
        if dim == 0 {
            return;
        }
        if let Some(limit) = self.options.clip {
            clip_by_value(&mut self.gradient, limit);
        }
        // Where the table is some columns of a wider one, the gradient is of that one.
        let offset = self.options.wider.map_or(0, |wider| wider.first);
        for (&row, gradient) in &mut self.gradient {
            let cells = self.table.row_mut(row).expect("a row of the table");
            let [first, second, per_row] = &mut self.states;
            if let Some(decay) = self.options.l2 {
                for column in 0..dim {
                    gradient[offset + column] += decay * cells[column].to_f32();
                }
            }
            let mut factor = 0.0;
            if R::PER_ROW {
                factor = rule.reference_row(gradient, &mut per_row.row_mut(row).expect("a state for each row")[0]);
            }
            let mut weights = Vec::new();
            for column in 0..dim {
                let mut state = [0.0; 2];
                for (kept, table) in state.iter_mut().zip([&*first, &*second]).take(R::PER_VALUE) {
                    *kept = table.view().row(row).expect("a state for each value")[column];
                }
                let w = cells[column].to_f32() * self.options.keep;
                weights.push(rule.reference_update(factor, w, gradient[offset + column], &mut state));
                for (kept, table) in state.into_iter().zip([&mut *first, &mut *second]).take(R::PER_VALUE) {
                    table.row_mut(row).expect("a state for each value")[column] = kept;
                }
            }
            if let Some(max) = self.options.max_norm {
                let norm = dot(&weights, &weights).sqrt();
                if norm > max {
                    let factor = max / norm;
                    weights.iter_mut().for_each(|w| *w *= factor);
                }
            }
            for column in 0..dim {
                cells[column] = match self.options.noise {
                    None => E::from_f32(weights[column]),
                    Some(noise) => stochastic(weights[column], noise, row as u32, column),
                };
            }
        }
    }
}

/// Rounds to one of the two neighbours, away from zero with a probability equal to the fraction of a last place that is lost.
fn stochastic<E: Element>(x: f32, noise: Noise, row: u32, column: usize) -> E {
    let random = noise.word(row, column);
    match E::DTYPE {
        DType::F16 if x.is_finite() => E::from_f32(f32::from(stochastic_f16(x, random))),
        DType::BF16 if x.is_finite() => E::from_f32(bf16::from_bits(((x.to_bits() + (random & 0xffff)) >> 16) as u16).to_f32()),
        _ => E::from_f32(x),
    }
}

/// Of the random word as many low bits are drawn as the number has below the last place of a half, but at most 31.
fn stochastic_f16(x: f32, random: u32) -> f16 {
    let magnitude = f64::from(x.abs());
    // The last place of an f32 is 2^-23 of its first, that of a half 2^-10; there are no smaller exponents than -126 and -14.
    let exponent = ((x.abs().to_bits() >> 23) as i32 - 127).max(-126);
    let last = exponent.max(-14) - 10;
    let drawn = (last - (exponent - 23)).min(31);
    let place = 2.0f64.powi(last);
    let (whole, lost) = ((magnitude / place).floor(), (magnitude / place).fract());
    let possible = 2.0f64.powi(drawn);
    let word = f64::from(random) % possible;
    let up = lost * possible >= possible - word;
    f16::from_f64((whole + if up { 1.0 } else { 0.0 }) * place).copysign(f16::from_f32(x))
}
