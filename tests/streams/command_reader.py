"""Reads Python source as text: which methods of the store a service uses, and which commands they send."""

import ast
from functools import cache
from importlib.resources import files
from pathlib import Path

import redis.asyncio
from streams.script_reader import commands_of, hints_of

from millstream_streams.store.scripting import ACCESS, AUDIT, BATCHES, FLEET, SCHEDULES, WORKFLOWS, script_names

_READING = Path(str(files("millstream_streams"))) / "reading"
_RECEIVERS = {
    "client",
    "_client",
    "_walking",
    "_control",
    "_reading",
    "_blocking",
    "pipeline",
    "pubsub",
    "connection",
    "execute",
}
_SUBCOMMANDS = {
    "xgroup_create": "xgroup|create",
    "xinfo_groups": "xinfo|groups",
    "client_list": "client|list",
    "client_unblock": "client|unblock",
    "xpending_range": "xpending",
    "scan_iter": "scan",
}
_OF_QUOTAS = ("begin_deal", "deal_quota", "end_deal", "put_quota")
_PARTS = {
    "registry": "registry",
    "schedules": "schedules",
    "workflows": "../workflows/workflows",
    "batches": "../batches/batches",
    "views": "views",
    "listing": "listing",
    "stack_answers": "stack_answers",
    "api_keys": "api_keys",
    "tenants": "tenants",
    "tenant_remains": "tenant_remains",
    "audit_trail": "audit_trail",
    "rate_tokens": "rate_tokens",
    "data_keys": "data_keys",
    "sessions": "api_keys",
    "callbacks": "callbacks",
    "stored_jobs": "stored_jobs",
    "event_lag": "event_lag",
    "reader": "ready_reader",
    "feed": "event_feed",
    "live_feed": "live_feed",
    "store": "job_store",
}
"""The names of the parts of the store in services, and the module of each."""

_FLOW_READERS = {
    "_nodes": "../workflows/node_reader",
    "_inputs": "../workflows/input_reader",
    "_rerunner": "../workflows/rerunner",
    "_members": "../batches/member_reader",
    "_shards": "../store/flow_shards",
}
"""Parts of `workflows` and `batches` that read, by the names under which they have them."""

_FOLDER_OF = {
    "api_keys": ACCESS,
    "tenants": ACCESS,
    "audit_trail": AUDIT,
    "rate_tokens": ACCESS,
    "data_keys": ACCESS,
    "schedules": SCHEDULES,
    "../workflows/workflows": WORKFLOWS,
    "../batches/batches": BATCHES,
}

_CALLS_OTHERS = {"ready_reader": ["consumers"], "event_feed": ["consumers", "views"], "listing": ["views"]}


def uses_of(folder: Path) -> set[tuple[str, str]]:
    """Return the methods that a service's code names, by part of the store; ("broker", ...) for the broker's own."""
    found = set()
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                part = _name(node.value).removeprefix("_")
                if part in {*_PARTS, "dependencies", "queue_settings", "budgets", "quotas", "broker"}:
                    found.add((part, node.attr))
    return found


def commands_used(uses: set[tuple[str, str]]) -> set[str]:
    """Return the commands that these uses of the store send, in scripts or by themselves."""
    found: set[str] = set()
    for part, method in uses:
        if part == "broker" and method in {"reader", "feed", "live_feed"}:
            found |= _commands_of_module(_PARTS[method])
        elif part in {"store", "dependencies"} and method in script_names():
            found |= commands_of(method)
        elif part == "queue_settings":
            found |= {"hgetall", *commands_of("tune"), *commands_of("pause")}
        elif part == "budgets":
            found |= {*commands_of("begin_deal"), *commands_of("deal")}
        elif part == "quotas":
            found |= {"hget", "hmget", *(one for name in _OF_QUOTAS for one in commands_of(name))}
        elif part in _PARTS.keys() - {"store", "reader", "feed", "live_feed"}:
            found |= _commands_of_method(_PARTS[part], method)
    return found


def topics_told(uses: set[tuple[str, str]]) -> set[str]:
    """Return the topics of the hints that the scripts behind these uses publish."""
    scripts = [method for part, method in uses if part in {"store", "dependencies"} and method in script_names()]
    for folder in (SCHEDULES, WORKFLOWS, BATCHES):
        scripts += [
            f"{folder}{method}"
            for part, method in uses
            if f"{part}/" == folder and f"{folder}{method}" in script_names(folder)
        ]
    scripts += [
        f"{ACCESS}{method}"
        for part, method in uses
        if part in {"api_keys", "tenants"} and f"{ACCESS}{method}" in script_names(ACCESS)
    ]
    told = {"queues"} if ("registry", "add_queues") in uses else set[str]()
    return told.union(*(hints_of(name) for name in scripts))


def topics_heard(uses: set[tuple[str, str]]) -> set[str]:
    """Return the topics that these uses subscribe to."""
    topics = {
        "listen_due": "due",
        "listen_outbox": "outbox",
        "listen_settled": "settled",
        "listen_cancel": "cancel:",
        "listen_keys": "keys",
        "listen_queues": "queues",
    }
    return {topics[method] for part, method in uses if part == "broker" and method in topics}


@cache
def _commands_of_module(module: str) -> frozenset[str]:
    others = [_commands_of_module(one) for one in _CALLS_OTHERS.get(module, [])]
    return frozenset(_commands_in(_tree(module))).union(*others)


def _commands_of_method(module: str, method: str) -> set[str]:
    """Return the commands of a method, and of everything that it names of its own object and module."""
    methods, functions = _definitions(module)
    pending, seen, found = [methods.get(method)], {method}, set[str]()
    while pending:
        code = pending.pop()
        if code is None:
            continue
        found |= _commands_in(code)
        for node in ast.walk(code):
            found |= _commands_of_script(node, _FOLDER_OF.get(module, FLEET))
            own = methods if isinstance(node, ast.Attribute) and _name(node.value) == "self" else functions
            name = _name(node)
            if name in own and name not in seen:
                seen.add(name)
                pending.append(own[name])
            if name == "_views":
                found |= _commands_of_module("views")
            if name in _FLOW_READERS and module in _FOLDER_OF:
                found |= _commands_of_module(_FLOW_READERS[name])
            if name == "read_snapshots":
                found |= _commands_of_module("views")
    return found


def _commands_of_script(node: ast.AST, folder: str) -> set[str]:
    """Return the commands of the script of a folder that is run here, if one is."""
    match node:
        case ast.Call(func=ast.Attribute(attr="_run" | "run"), args=[ast.Constant(value=str(name)), *_]):
            return commands_of(folder + name)
    return set()


def _definitions(module: str) -> tuple[dict[str, ast.AST], dict[str, ast.AST]]:
    """Return the methods and the functions of a module, by name."""
    definitions = [node for node in ast.walk(_tree(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    functions = {node.name: node for node in definitions if node.col_offset == 0}
    return {node.name: node for node in definitions if node.col_offset}, functions


def _commands_in(tree: ast.AST) -> set[str]:
    """Return the commands sent by methods of redis-py, and those that stand in words before their arguments."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _name(node.value) in _RECEIVERS and _is_command(node.attr):
            found.add(_SUBCOMMANDS.get(node.attr, node.attr))
        first = node.elts[:1] if isinstance(node, ast.Tuple) else node.args[:1] if isinstance(node, ast.Call) else []
        for word in first:
            if isinstance(word, ast.Constant) and isinstance(word.value, str) and word.value.isupper():
                found |= {word.value.lower()} & _COMMANDS
    return found


_NO_COMMANDS = {"pipeline", "pubsub", "execute", "execute_command", "get_connection", "initialize", "client", "aclose"}
_COMMANDS = {name for name in dir(redis.asyncio.Redis) if not name.startswith("_")}


def _is_command(name: str) -> bool:
    return name in _COMMANDS - _NO_COMMANDS


@cache
def _tree(module: str) -> ast.AST:
    return ast.parse((_READING / f"{module}.py").read_text())


def _name(node: ast.AST) -> str:
    return _last(node) if isinstance(node, ast.Attribute | ast.Name) else ""


def _last(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
