//! Rows by id.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array};
use arrow_schema::{DataType, Field};
use burn_tensor::{Device, Int, TensorData};
use hotrow::{Buffer, Table, Workspace};
use ndarray::{Array2, Axis};

use crate::contender::{Contender, Problem};
use crate::versions::versioned;

/// hotrow, then its peers.
pub fn contenders(problem: &Problem) -> Result<Vec<Box<dyn Contender>>> {
    Ok(vec![
        Box::new(HotrowInto::new(problem)?),
        Box::new(Hotrow::new(problem)?),
        Box::new(Candle::new(problem)?),
        Box::new(Arrow::new(problem)?),
        Box::new(Burn::new(problem)),
        Box::new(Ndarray::new(problem)?),
    ])
}

struct HotrowInto {
    table: Table<f32>,
    batches: Vec<Vec<i64>>,
    out: Buffer<f32>,
    workspace: Workspace,
}

impl HotrowInto {
    fn new(problem: &Problem) -> Result<HotrowInto> {
        let out = Buffer::zeros(problem.batches[0].len() * problem.table.dim())?;
        let (table, batches) = (problem.table.try_clone()?, problem.batches.clone());
        Ok(HotrowInto { table, batches, out, workspace: Workspace::new() })
    }
}

impl Contender for HotrowInto {
    fn name(&self) -> String {
        "hotrow gather_into".to_owned()
    }

    fn call(&mut self, turn: usize) -> Result<()> {
        let ids = &self.batches[turn % self.batches.len()];
        Ok(self.workspace.gather_into(&self.table, ids, &mut self.out)?)
    }

    fn result(&mut self) -> Result<Vec<f32>> {
        self.call(0)?;
        Ok(self.out.to_vec())
    }

    fn is_hotrow(&self) -> bool {
        true
    }
}

struct Hotrow {
    table: Table<f32>,
    batches: Vec<Vec<i64>>,
    workspace: Workspace,
}

impl Hotrow {
    fn new(problem: &Problem) -> Result<Hotrow> {
        let (table, batches) = (problem.table.try_clone()?, problem.batches.clone());
        Ok(Hotrow { table, batches, workspace: Workspace::new() })
    }
}

impl Contender for Hotrow {
    fn name(&self) -> String {
        "hotrow gather".to_owned()
    }

    fn call(&mut self, turn: usize) -> Result<()> {
        let ids = &self.batches[turn % self.batches.len()];
        black_box(self.workspace.gather(&self.table, ids)?);
        Ok(())
    }

    fn result(&mut self) -> Result<Vec<f32>> {
        Ok(self.workspace.gather(&self.table, &self.batches[0])?.to_vec())
    }

    fn is_hotrow(&self) -> bool {
        true
    }
}

struct Candle {
    table: candle_core::Tensor,
    batches: Vec<candle_core::Tensor>,
}

impl Candle {
    fn new(problem: &Problem) -> Result<Candle> {
        let device = &candle_core::Device::Cpu;
        let [rows, dim] = problem.shape();
        let table = candle_core::Tensor::from_vec(problem.table.to_vec(), (rows, dim), device)?;
        let tensor = |ids: &Vec<i64>| candle_core::Tensor::from_slice(ids, ids.len(), device);
        let batches = problem.batches.iter().map(tensor).collect::<Result<_, _>>()?;
        Ok(Candle { table, batches })
    }
}

impl Contender for Candle {
    fn name(&self) -> String {
        versioned("candle-core") + " index_select"
    }

    fn call(&mut self, turn: usize) -> Result<()> {
        black_box(self.table.index_select(&self.batches[turn % self.batches.len()], 0)?);
        Ok(())
    }

    fn result(&mut self) -> Result<Vec<f32>> {
        Ok(self.table.index_select(&self.batches[0], 0)?.flatten_all()?.to_vec1()?)
    }
}

struct Arrow {
    table: FixedSizeListArray,
    batches: Vec<Int64Array>,
}

impl Arrow {
    fn new(problem: &Problem) -> Result<Arrow> {
        let values: ArrayRef = Arc::new(Float32Array::from(problem.table.to_vec()));
        let field = Arc::new(Field::new_list_field(DataType::Float32, false));
        let table = FixedSizeListArray::try_new(field, i32::try_from(problem.table.dim())?, values, None)?;
        let batches = problem.batches.iter().cloned().map(Int64Array::from).collect();
        Ok(Arrow { table, batches })
    }
}

impl Contender for Arrow {
    fn name(&self) -> String {
        versioned("arrow-select") + " take"
    }

    fn call(&mut self, turn: usize) -> Result<()> {
        let ids = &self.batches[turn % self.batches.len()];
        black_box(arrow_select::take::take(&self.table, ids, None)?);
        Ok(())
    }

    fn result(&mut self) -> Result<Vec<f32>> {
        let taken = arrow_select::take::take(&self.table, &self.batches[0], None)?;
        let rows = taken.as_fixed_size_list_opt().context("rows of fixed length")?;
        Ok(rows.values().as_primitive::<Float32Type>().values().to_vec())
    }
}

struct Burn {
    table: burn_tensor::Tensor<2>,
    batches: Vec<burn_tensor::Tensor<1, Int>>,
}

impl Burn {
    fn new(problem: &Problem) -> Burn {
        let device = Device::flex();
        let table = TensorData::new(problem.table.to_vec(), problem.shape());
        let ids = |ids: &Vec<i64>| burn_tensor::Tensor::from_data(TensorData::new(ids.clone(), [ids.len()]), &device);
        let batches = problem.batches.iter().map(ids).collect();
        Burn { table: burn_tensor::Tensor::from_data(table, &device), batches }
    }

    fn select(&self, turn: usize) -> burn_tensor::Tensor<2> {
        // A clone shares the values.
        self.table.clone().select(0, self.batches[turn % self.batches.len()].clone())
    }
}

impl Contender for Burn {
    fn name(&self) -> String {
        versioned("burn-flex") + " select"
    }

    fn call(&mut self, turn: usize) -> Result<()> {
        black_box(self.select(turn));
        Ok(())
    }

    fn result(&mut self) -> Result<Vec<f32>> {
        self.select(0).into_data().try_to_vec().map_err(|error| anyhow::anyhow!("{error:?}"))
    }
}

struct Ndarray {
    table: Array2<f32>,
    batches: Vec<Vec<usize>>,
}

impl Ndarray {
    fn new(problem: &Problem) -> Result<Ndarray> {
        let table = Array2::from_shape_vec(problem.shape(), problem.table.to_vec())?;
        let rows = |ids: &Vec<i64>| ids.iter().map(|&id| id as usize).collect();
        Ok(Ndarray { table, batches: problem.batches.iter().map(rows).collect() })
    }
}

impl Contender for Ndarray {
    fn name(&self) -> String {
        versioned("ndarray") + " select"
    }

    fn call(&mut self, turn: usize) -> Result<()> {
        black_box(self.table.select(Axis(0), &self.batches[turn % self.batches.len()]));
        Ok(())
    }

    fn result(&mut self) -> Result<Vec<f32>> {
        Ok(self.table.select(Axis(0), &self.batches[0]).iter().copied().collect())
    }
}
