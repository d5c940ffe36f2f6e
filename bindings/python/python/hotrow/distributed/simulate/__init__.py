"""What a step would take on more machines than there are: time by part, bytes, and the memory of the fullest rank.

    python -m hotrow.distributed.simulate --parameters 1e12 --kinds table_wise row_wise

The model has three inputs: a plan, what a batch looks up (`Workload`), and what things cost: the engine's work for each
row, id and byte on one rank (`Costs`, measured or given), and the network (`Cluster`). All ranks wait for each other at
every exchange, so each part of a step takes as long as it takes the rank that takes longest. Nothing overlaps.

>>> from hotrow import EmbeddingBagConfig
>>> from hotrow.distributed import plan
>>> from hotrow.distributed.simulate import RECORDED, Cluster, Workload, predict
>>> configs = [EmbeddingBagConfig(name="items", num_embeddings=10**8, embedding_dim=64, feature_names=["seen"])]
>>> placement = plan(configs, world_size=16, local_world_size=4, constraints={"items": "row_wise"})
>>> workload = Workload(batch=512, lookups={"items": 20}, optimizer="rowwise_adagrad")
>>> found = predict(configs, placement, workload, Cluster(ranks_per_node=4), RECORDED)
>>> f"{found.memory / 2**30:.2f} GiB, {found.sent / 2**20 / 16:.1f} MiB sent by a rank"
'1.52 GiB, 2.7 MiB sent by a rank'
"""

from hotrow.distributed.simulate.cluster import Cluster
from hotrow.distributed.simulate.costs import Costs
from hotrow.distributed.simulate.placement import place
from hotrow.distributed.simulate.predict import Prediction, predict
from hotrow.distributed.simulate.recorded import RECORDED
from hotrow.distributed.simulate.workload import Workload

__all__ = ["RECORDED", "Cluster", "Costs", "Prediction", "Workload", "place", "predict"]
