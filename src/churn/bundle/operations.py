"""What a bundle's graph may do: compute. Checksums tell damage; this tells a graph that acts.

A SavedModel is a program. TensorFlow has operations that read and write files, print, call Python or the
network, and it runs them as it runs a multiplication. `verify_operations` allows only what a model needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from churn.backend import tensorflow
from churn.errors import UserError

_ALLOWED = {
    "arithmetic": """
        Abs Add AddN AddV2 ArgMax ArgMin AssignVariableOp Ceil ClipByValue Cos Cumprod Cumsum
        Digamma Div DivNoNan Erf Erfc Erfinv Exp Expm1 Floor FloorDiv FloorMod Igamma Igammac
        IsFinite IsInf IsNan Lgamma Log Log1p Max Maximum Mean Min Minimum Mod Mul MulNoNan Ndtri
        Neg Pow Prod RealDiv Reciprocal Rint Round Rsqrt Sign Sin Sqrt Square SquaredDifference Sub
        Sum Tan Xdivy Xlog1py Xlogy
    """,
    "comparison and logic": """
        All Any Bucketize Equal Greater GreaterEqual Less LessEqual LogicalAnd LogicalNot LogicalOr
        NotEqual Select SelectV2 Where
    """,
    "layers": """
        BatchMatMul BatchMatMulV2 BatchMatMulV3 BiasAdd Einsum Elu FusedBatchNormV3 LeakyRelu
        LogSoftmax MatMul Relu Relu6 Selu Sigmoid Softmax Softplus Softsign Tanh
    """,
    "shapes, selection and texts": """
        AsString BroadcastArgs BroadcastTo Cast Concat ConcatV2 Const DynamicStitch EnsureShape
        ExpandDims Fill Gather GatherNd GatherV2 Identity IdentityN InvertPermutation LinSpace
        LowerBound MirrorPad NoOp OneHot OnesLike Pack Pad PadV2 PartitionedCall Placeholder
        PlaceholderWithDefault PreventGradient Range Rank Reshape ResourceGather ReverseV2 ScatterNd
        Shape ShapeN Size Slice Split SplitV Squeeze StatefulPartitionedCall StaticRegexFullMatch
        StaticRegexReplace StopGradient StridedSlice StringJoin StringLength StringLower StringStrip
        StringToNumber StringUpper Substr TensorScatterUpdate Tile TopKV2 Transpose Unique UniqueV2
        Unpack UnsortedSegmentMax UnsortedSegmentSum UpperBound ZerosLike
    """,
    "control flow, variables and tables in memory": """
        Case DisableCopyOnRead HashTableV2 If LookupTableFindV2 LookupTableImportV2
        LookupTableSizeV2 ReadVariableOp StatelessCase StatelessIf StatelessWhile
        TensorListElementShape TensorListFromTensor TensorListGetItem TensorListLength
        TensorListReserve TensorListSetItem TensorListStack VarHandleOp VarIsInitializedOp While
    """,
}
COMPUTING = frozenset(name for names in _ALLOWED.values() for name in names.split())
SAVING = frozenset(("MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename"))
_DO = "train a bundle of your own; what a model of yours needs is added to churn.bundle.operations"


def verify_operations(path: Path) -> None:
    """Raise `UserError` if the graph of the SavedModel in `path` can do more than compute.

    Each SavedModel holds two functions that write and read its variables. They may stay as long as nothing
    else calls them (no signature, no other function), and the one that a loader may call only reads.
    """
    graph = _read_graph(path)
    if foreign := {node.op for node in _nodes(graph)} - COMPUTING - SAVING | _written_at_load(graph):
        what = f"the bundle's graph does more than compute: {', '.join(sorted(foreign))}"
        raise UserError(what, str(path), _DO)
    if callers := sorted(_callers_of_saving(graph)):
        what = f"the bundle's graph can write or read files, by {', '.join(callers[:5])}"
        raise UserError(what, str(path), _DO)


def _read_graph(path: Path) -> Any:
    """The graph of a SavedModel.

    Raises `UserError` for one in the form of TensorFlow 1, whose loader runs what reads the variables.
    """
    tensorflow()
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString((path / "saved_model.pb").read_bytes())
    except DecodeError as error:
        raise UserError(
            f"the bundle is damaged: {error}", str(path / "saved_model.pb"), "copy it whole"
        ) from None
    if len(model.meta_graphs) != 1 or not model.meta_graphs[0].HasField("object_graph_def"):
        raise UserError("the bundle's graph is not one that TensorFlow 2 wrote", str(path), _DO)
    return model.meta_graphs[0]


def _nodes(graph: Any) -> Iterator[Any]:
    yield from graph.graph_def.node
    for function in graph.graph_def.library.function:
        yield from function.node_def


def _written_at_load(graph: Any) -> set[str]:
    """The operations other than RestoreV2 on files in what a loader calls to read the variables."""
    restore = _node_name(graph.saver_def.restore_op_name)
    called = {name for node in graph.graph_def.node if node.name == restore for name in _called(node)}
    functions = (f for f in graph.graph_def.library.function if f.signature.name in called)
    return {node.op for f in functions for node in f.node_def} & (SAVING - {"RestoreV2"})


def _callers_of_saving(graph: Any) -> Iterator[str]:
    """What reaches an operation on files, other than the saver's own two nodes."""
    nodes, functions = graph.graph_def.node, graph.graph_def.library.function
    saver = {_node_name(graph.saver_def.save_tensor_name), _node_name(graph.saver_def.restore_op_name)}
    saving = {f.signature.name for f in functions if any(node.op in SAVING for node in f.node_def)}
    for node in nodes:
        calls = node.op in SAVING or (node.name not in saver and saving.intersection(_called(node)))
        if calls or saver.intersection(map(_node_name, node.input)):
            yield node.name
    for function in functions:
        if any(saving.intersection(_called(node)) for node in function.node_def):
            yield function.signature.name
    yield from saving.intersection(graph.object_graph_def.concrete_functions)
    for name, collection in graph.collection_def.items():
        if saver.intersection(map(_node_name, collection.node_list.value)):
            yield name  # of what a loader runs first
    for name, signature in graph.signature_def.items():
        if saver.intersection(_node_name(output.name) for output in signature.outputs.values()):
            yield name


def _node_name(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _called(node: Any) -> Iterator[str]:
    """The names of the functions that a node calls."""
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        yield from (function.name for function in value.list.func)
