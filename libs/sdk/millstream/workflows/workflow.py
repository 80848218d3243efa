"""Workflows as code builds them: nodes, each with a job, that take results of the nodes before them."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Generic, Unpack, overload

import msgspec
from typing_extensions import TypeVar

from millstream.jobs.job_ref import JobRef, gives_of
from millstream.jobs.new_job import NewJob
from millstream.payloads import ANYTHING, DataType, plain_payload
from millstream.seconds import Seconds, in_seconds
from millstream.workflows.node_options import FIELDS, NodeOptions, node_fields
from millstream.workflows.placeholders import ITEM, Placeholder, result_of, template_of, with_default
from millstream_contracts import OnFailure

P = TypeVar("P")
R = TypeVar("R")
D = TypeVar("D")
R_co = TypeVar("R_co", covariant=True, default=Any)


class Node(Generic[R_co]):
    """A node of a workflow that is being built."""

    def __init__(self, name: str, gives: DataType) -> None:
        self.name = name
        self.gives = gives
        """What decodes the result of its job, or of each of its jobs."""

    def __repr__(self) -> str:
        return f"<Node {self.name}>"

    @property
    def result(self) -> R_co:
        """Stands for what its job will return, or for a list of that for a node that maps; to be put into payloads.

        An attribute, a key, an index, or a JSON pointer such as `["/images/0"]` is a part of it.
        """
        return result_of(self.name)  # type: ignore[return-value]

    def result_or(self, default: D) -> R_co | D:
        """Stand for its result, and for `default` where it has none: in nodes that run although it failed."""
        return with_default(result_of(self.name), default)  # type: ignore[return-value]


class Workflow:
    """A graph of jobs. `client.run(flow)` submits it in one request.

    A node waits for the nodes whose results its payload has, and for those in `after`. `on_failure` is what a dead node
    does to the others: those that do not wait for it run (`wait`, the default), or are cancelled (`cancel`).
    `retention` is how long it can be read after its end, a day by default.
    """

    def __init__(self, name: str, *, on_failure: OnFailure = "wait", retention: Seconds | None = None) -> None:
        self.name = name
        self._fields: dict[str, Any] = {"name": name}
        if on_failure != "wait":
            self._fields["on_failure"] = on_failure
        if retention is not None:
            self._fields["retention_s"] = in_seconds(retention)
        self._nodes: dict[str, Node[Any]] = {}
        self._submitted: dict[str, dict[str, Any]] = {}

    def __repr__(self) -> str:
        return f"<Workflow {self.name}, {len(self._nodes)} nodes>"

    @classmethod
    def from_document(cls, document: Any) -> "Workflow":
        """Return a workflow that is written as the API takes it, such as the content of a JSON file.

        Raises: ValueError, for what has no name and no nodes; the service checks the rest.
        """
        is_document = isinstance(document, dict) and isinstance(document.get("nodes"), dict)
        if not is_document or not isinstance(document.get("name"), str):
            raise ValueError('a workflow is an object such as {"name": …, "nodes": {…}}')
        flow = cls(document["name"])
        flow._fields = {field: value for field, value in document.items() if field != "nodes"}
        flow._submitted = dict(document["nodes"])
        flow._nodes = {name: Node(name, ANYTHING) for name in flow._submitted}
        return flow

    @property
    def nodes(self) -> dict[str, Node[Any]]:
        """Return its nodes by their names, in the order in which they were added."""
        return dict(self._nodes)

    @overload
    def add(
        self,
        name: str,
        job: JobRef[None, R],
        payload: None = None,
        *,
        after: "After" = (),
        **options: Unpack[NodeOptions],
    ) -> Node[R]: ...

    @overload
    def add(
        self, name: str, job: JobRef[P, R], payload: P, *, after: "After" = (), **options: Unpack[NodeOptions]
    ) -> Node[R]: ...

    @overload
    def add(
        self, name: str, job: str, payload: Any = None, *, after: "After" = (), **options: Unpack[NodeOptions]
    ) -> Node[Any]: ...

    def add(
        self,
        name: str,
        job: str | JobRef[Any, Any],
        payload: Any = None,
        *,
        after: "After" = (),
        **options: Unpack[NodeOptions],
    ) -> Node[Any]:
        """Add a node with one job. Its payload may have results of other nodes in it.

        `after` are nodes that it waits for without their results. Raises: ValueError, for a name that is taken, a node
        of another workflow; TypeError, for an unknown option, a payload that cannot be encoded.
        """
        return self._add(name, job, {"payload": payload}, after, options)

    @overload
    def map(
        self,
        name: str,
        job: JobRef[P, R],
        *,
        over: Iterable[P],
        max_failures: int = 0,
        after: "After" = (),
        **options: Unpack[NodeOptions],
    ) -> Node[list[R]]: ...

    @overload
    def map(
        self,
        name: str,
        job: JobRef[P, R],
        *,
        over: Iterable[Any],
        payload: P,
        max_failures: int = 0,
        after: "After" = (),
        **options: Unpack[NodeOptions],
    ) -> Node[list[R]]: ...

    @overload
    def map(
        self,
        name: str,
        job: str,
        *,
        over: Iterable[Any],
        payload: Any = ...,
        max_failures: int = 0,
        after: "After" = (),
        **options: Unpack[NodeOptions],
    ) -> Node[list[Any]]: ...

    def map(
        self,
        name: str,
        job: str | JobRef[Any, Any],
        *,
        over: Any,
        payload: Any = ITEM,
        max_failures: int = 0,
        after: "After" = (),
        **options: Unpack[NodeOptions],
    ) -> Node[list[Any]]:
        """Add a node with a job for each item of a list that another node returns; its result is the list of theirs.

        The payload is the item, or what `payload` makes of it: `{"image": ITEM, "width": 200}`. The node succeeds
        although `max_failures` of its jobs do not; their results are None. Raises: as `add`.
        """
        if not isinstance(over, Placeholder) or over is ITEM:
            raise TypeError(f"{name}: `over` takes the result of a node, such as `images.result`")
        fields = {"map": over, "payload": payload}
        if max_failures:
            fields["max_failures"] = max_failures
        return self._add(name, job, fields, after, options)

    def returns(self, result: Any) -> None:
        """Say what the workflow returns: the result of a node, or data with results in it.

        Raises: ValueError, for a node of another workflow; TypeError, for what cannot be encoded.
        """
        self._fields["result"] = self._template(result, f"the result of `{self.name}`")

    @property
    def content(self) -> bytes:
        """Return the submission in MessagePack. Raises: ValueError, without a node."""
        if not self._submitted:
            raise ValueError(f"workflow `{self.name}` has no nodes")
        return msgspec.msgpack.encode({**self._fields, "nodes": self._submitted})

    def _add(
        self,
        name: str,
        job: str | JobRef[Any, Any],
        fields: dict[str, Any],
        after: "After",
        options: NodeOptions,
    ) -> Node[Any]:
        if name in self._nodes:
            raise ValueError(f"workflow `{self.name}` has a node `{name}` already")
        submitted = {
            "type": job.type if isinstance(job, JobRef) else job,
            **{key: self._template(value, f"the {key} of node `{name}`") for key, value in fields.items()},
            **plain_payload(node_fields(options)),
        }
        if before := [self._known(one) for one in _several(after)]:
            submitted["after"] = before
        self._nodes[name] = Node(name, gives_of(job))
        self._submitted[name] = submitted
        return self._nodes[name]

    def _template(self, value: Any, what: str) -> Any:
        try:
            template, names = template_of(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise TypeError(f"{what} cannot be encoded: {error}") from error
        for name in names:
            self._known(name)
        return template

    def _known(self, node: Node[Any] | str) -> str:
        name = node if isinstance(node, str) else node.name
        found = self._nodes.get(name)
        if found is None or (isinstance(node, Node) and found is not node):
            raise ValueError(f"workflow `{self.name}` has no node `{name}`; a node is added before those behind it")
        return name


After = str | Node[Any] | Sequence[str | Node[Any]]
"""Nodes, or their names, that a node waits for."""


def chain(first: NewJob | JobRef[None, Any] | str, *rest: JobRef[Any, Any] | str, name: str = "chain") -> Workflow:
    """Return a workflow of jobs one after the other, each of which takes the result of the one before.

        await client.run(chain(NewJob(fetch, url), parse, store))

    It returns the result of the last one. Its nodes are named like their types, the second of a type `<type>-2`.
    Raises: TypeError, for a first job with an option that a node has not.
    """
    flow = Workflow(name)
    last = _first(flow, first)
    for job in rest:
        last = flow.add(_free_name(flow, job), job, last.result)
    flow.returns(last.result)
    return flow


def _first(flow: Workflow, job: NewJob | JobRef[Any, Any] | str) -> Node[Any]:
    if not isinstance(job, NewJob):
        return flow.add(_free_name(flow, job), job)
    fields: dict[str, Any] = msgspec.msgpack.decode(job.content)
    payload = fields.pop("payload", None)
    del fields["type"]
    options = {_OPTIONS_OF.get(field, field): value for field, value in fields.items()}
    return flow.add(_free_name(flow, job.type), job.type, payload, **options)


_OPTIONS_OF = {field: option for option, field in FIELDS.items()}


def _free_name(flow: Workflow, job: JobRef[Any, Any] | str) -> str:
    job_type = job if isinstance(job, str) else job.type
    taken = flow.nodes
    return next(name for at in itertools.count(1) if (name := job_type if at == 1 else f"{job_type}-{at}") not in taken)


def _several(after: After) -> Sequence[str | Node[Any]]:
    return [after] if isinstance(after, str | Node) else after
