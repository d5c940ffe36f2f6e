//! Gradient rows added into the table by id. Arrow has no such operation.

use anyhow::Result;
use burn_tensor::{Device, IndexingUpdateOp, Int, TensorData};
use hotrow::{Table, Workspace};
use ndarray::Array2;

use crate::contender::{Contender, Problem};
use crate::versions::versioned;

/// The others may add up in another order than the ids come: equal sums of many terms then differ in their last bits.
const TOLERANCE: f32 = 1e-5;

/// hotrow, then its peers.
pub fn contenders(problem: &Problem) -> Result<Vec<Box<dyn Contender>>> {
    // Small values of both signs, so that the tables keep their scale.
    let values = problem.batches[0].len() * problem.table.dim();
    let gradient: Vec<f32> = (0..values).map(|i| ((i * 7919) % 2003) as f32 * 1e-6 - 1e-3).collect();
    Ok(vec![
        Box::new(Hotrow::new(problem, gradient.clone())?),
        Box::new(Candle::new(problem, gradient.clone())?),
        Box::new(Burn::new(problem, gradient.clone())),
        Box::new(Ndarray::new(problem, gradient)?),
    ])
}

struct Hotrow {
    table: Table<f32>,
    batches: Vec<Vec<i64>>,
    gradient: Vec<f32>,
    workspace: Workspace,
}

impl Hotrow {
    fn new(problem: &Problem, gradient: Vec<f32>) -> Result<Hotrow> {
        let (table, batches) = (problem.table.try_clone()?, problem.batches.clone());
        Ok(Hotrow { table, batches, gradient, workspace: Workspace::new() })
    }
}

impl Contender for Hotrow {
    fn name(&self) -> String {
        "hotrow scatter_add".to_owned()
    }

    fn call(&mut self, turn: usize) -> Result<()> {
        let ids = &self.batches[turn % self.batches.len()];
        Ok(self.workspace.scatter_add(&mut self.table, ids, &self.gradient, 1.0)?)
    }

    fn result(&mut self) -> Result<Vec<f32>> {
        self.call(0)?;
        Ok(self.table.to_vec())
    }

    fn is_hotrow(&self) -> bool {
        true
    }
}

/// candle cannot add in place: it returns a new table, which takes the old one's place.
struct Candle {
    table: candle_core::Tensor,
    batches: Vec<candle_core::Tensor>,
    gradient: candle_core::Tensor,
}

impl Candle {
    fn new(problem: &Problem, gradient: Vec<f32>) -> Result<Candle> {
        let device = &candle_core::Device::Cpu;
        let [rows, dim] = problem.shape();
        let table = candle_core::Tensor::from_vec(problem.table.to_vec(), (rows, dim), device)?;
        let tensor = |ids: &Vec<i64>| candle_core::Tensor::from_slice(ids, ids.len(), device);
        let batches = problem.batches.iter().map(tensor).collect::<Result<_, _>>()?;
        let lines = gradient.len() / dim;
        let gradient = candle_core::Tensor::from_vec(gradient, (lines, dim), device)?;
        Ok(Candle { table, batches, gradient })
    }
}

impl Contender for Candle {
    fn name(&self) -> String {
        versioned("candle-core") + " index_add"
    }

    fn call(&mut self, turn: usize) -> Result<()> {
        self.table = self.table.index_add(&self.batches[turn % self.batches.len()], &self.gradient, 0)?;
        Ok(())
    }

    fn result(&mut self) -> Result<Vec<f32>> {
        self.call(0)?;
        Ok(self.table.flatten_all()?.to_vec1()?)
    }

    fn tolerance(&self) -> f32 {
        TOLERANCE
    }
}

struct Burn {
    /// There but while a call has it: burn adds in place where the tensor is not shared.
    table: Option<burn_tensor::Tensor<2>>,
    batches: Vec<burn_tensor::Tensor<1, Int>>,
    gradient: burn_tensor::Tensor<2>,
}

impl Burn {
    fn new(problem: &Problem, gradient: Vec<f32>) -> Burn {
        let device = Device::flex();
        let dim = problem.table.dim();
        let lines = gradient.len() / dim;
        let table = TensorData::new(problem.table.to_vec(), problem.shape());
        let ids = |ids: &Vec<i64>| burn_tensor::Tensor::from_data(TensorData::new(ids.clone(), [ids.len()]), &device);
        Burn {
            table: Some(burn_tensor::Tensor::from_data(table, &device)),
            batches: problem.batches.iter().map(ids).collect(),
            gradient: burn_tensor::Tensor::from_data(TensorData::new(gradient, [lines, dim]), &device),
        }
    }
}

impl Contender for Burn {
    fn name(&self) -> String {
        versioned("burn-flex") + " select_assign(Add)"
    }

    fn call(&mut self, turn: usize) -> Result<()> {
        let ids = self.batches[turn % self.batches.len()].clone();
        let table = self.table.take();
        self.table = table.map(|t| t.select_assign(0, ids, self.gradient.clone(), IndexingUpdateOp::Add));
        Ok(())
    }

    fn result(&mut self) -> Result<Vec<f32>> {
        self.call(0)?;
        let table = self.table.as_ref().map(|table| table.to_data().try_to_vec());
        table.unwrap_or_else(|| Ok(Vec::new())).map_err(|error| anyhow::anyhow!("{error:?}"))
    }

    fn tolerance(&self) -> f32 {
        TOLERANCE
    }
}

/// ndarray has no such operation: this is the loop that its users write.
struct Ndarray {
    table: Array2<f32>,
    batches: Vec<Vec<usize>>,
    gradient: Array2<f32>,
}

impl Ndarray {
    fn new(problem: &Problem, gradient: Vec<f32>) -> Result<Ndarray> {
        let table = Array2::from_shape_vec(problem.shape(), problem.table.to_vec())?;
        let rows = |ids: &Vec<i64>| ids.iter().map(|&id| id as usize).collect();
        let batches = problem.batches.iter().map(rows).collect();
        let dim = problem.table.dim();
        let gradient = Array2::from_shape_vec((gradient.len() / dim, dim), gradient)?;
        Ok(Ndarray { table, batches, gradient })
    }
}

impl Contender for Ndarray {
    fn name(&self) -> String {
        versioned("ndarray") + " loop of row += row"
    }

    fn call(&mut self, turn: usize) -> Result<()> {
        let ids = &self.batches[turn % self.batches.len()];
        for (&id, gradient) in ids.iter().zip(self.gradient.rows()) {
            let mut row = self.table.row_mut(id);
            row += &gradient;
        }
        Ok(())
    }

    fn result(&mut self) -> Result<Vec<f32>> {
        self.call(0)?;
        Ok(self.table.iter().copied().collect())
    }

    fn tolerance(&self) -> f32 {
        TOLERANCE
    }
}
