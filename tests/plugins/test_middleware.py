"""Middleware around callbacks: applied at the first call, once, in order; skipped, reset, refused."""

import functools
import time
from collections.abc import Callable
from typing import Any

import pytest

from meteragent.errors import ConfigError, PluginError, Unavailable
from meteragent.middleware.base import InUse, Middleware, meant
from meteragent.plugins.bind import Bound, Context, bind
from meteragent.plugins.layers import Used
from meteragent.plugins.middleware import Stack, use
from meteragent.plugins.option import Option, Values
from meteragent.plugins.wrapping import Place, Wrapping

Callback = Callable[..., Any]


class Tells(Middleware):
    """Notes when it is applied and called."""

    options = (Option("times", 3, minimum=1, maximum=9),)

    def __init__(self, name: str = "tells", told: list[str] | None = None) -> None:
        self.name, self.told = name, [] if told is None else told

    def apply(self, callback: Callback, context: Context) -> Callback:
        """Note it, with the option."""
        self.told.append(f"{self.name} applied to {context.label} with {context.options['times']}")

        @functools.wraps(callback)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self.told.append(self.name)
            return callback(*args, **kwargs)

        return wrapper


def used(middleware: Any, name: str = "tells", **options: Any) -> Used:
    """A middleware in use with the defaults of its options, but for these."""
    declared = getattr(middleware, "options", ())
    values = {each.name: each.default for each in declared} | options
    return Used(name, f"middleware:{name}", middleware, declared, Values(values))


def bound(stack: Stack, callback: Callback | None = None, **context: Any) -> Bound:
    """A callback of a pollster with a stack around it."""
    told = {"kind": "pollster", "label": "pollster:host.p", "source": "s", **context}
    return bind(callback or (lambda host: [host]), ["host"], Context(**told, stack=stack))


def test_it_is_applied_at_the_first_call_and_once() -> None:
    """Binding applies nothing; two calls apply once and call twice."""
    tells = Tells()
    call = bound(Stack([used(tells)]))
    before = [*tells.told]
    results = [call({"host": "web1"}), call({"host": "web2"})]
    assert before == []
    assert results == [["web1"], ["web2"]]
    assert tells.told == ["tells applied to pollster:host.p with 3", "tells", "tells"]


def test_the_first_that_is_named_is_the_outermost() -> None:
    """It is applied last and called first."""
    told: list[str] = []
    stack = Stack([used(Tells("outer", told), "outer"), used(Tells("inner", told), "inner")])
    bound(stack)({"host": "web1"})
    assert [each.split()[0] for each in told] == ["inner", "outer", "outer", "inner"]


def test_a_plain_decorator_is_a_middleware() -> None:
    """It is given the callback alone."""

    def twice(callback: Callback) -> Callback:
        return lambda **kwargs: callback(**kwargs) * 2

    assert bound(Stack([used(twice)]))({"host": "web1"}) == ["web1", "web1"]


def test_one_that_gives_the_callback_back_is_gone() -> None:
    """From the second call on the plugin is called as if there were no middleware at all."""

    def read(host: str) -> str:
        return host

    call = bound(Stack([used(Middleware())]), read)
    first = call({"host": "web1"})
    assert first == "web1"
    assert call._callback is read


def test_without_any_a_bound_callback_is_the_callback() -> None:
    """No middleware in use, all of it skipped: nothing is put around it."""

    def read(host: str) -> str:
        return host

    tells = used(Tells())
    assert bound(Stack(), read)._callback is read
    assert bound(Stack([tells]), read, wrapping=Wrapping(skip=("tells",)))._callback is read
    assert bound(Stack([tells]), read, wrapping=Wrapping(skip_all=True))._callback is read


def test_a_source_sets_options_for_itself() -> None:
    """Its own value holds for it, the configuration's for the others."""
    tells = Tells()
    stack = Stack([used(tells, times=5)])
    bound(stack, wrapping=Wrapping(options={"tells": {"times": 7}}))({"host": "web1"})
    bound(stack)({"host": "web1"})
    assert [each for each in tells.told if "applied" in each] == [
        "tells applied to pollster:host.p with 7",
        "tells applied to pollster:host.p with 5",
    ]


def test_reset_has_one_or_all_applied_anew() -> None:
    """By the label of the plugin, or each; the next call applies again."""
    tells = Tells()
    stack = Stack([used(tells)])
    calls = [bound(stack, label=f"pollster:host.{name}") for name in ("p", "q")]

    def applied() -> list[str]:
        tells.told.clear()
        for call in calls:
            call({"host": "web1"})
        return [each.split()[3].rpartition(".")[2] for each in tells.told if "applied" in each]

    first, none = applied(), applied()
    stack.reset("pollster:host.q")
    one = applied()
    stack.reset()
    assert [first, none, one, applied()] == [["p", "q"], [], ["q"], ["p", "q"]]


def test_reset_reaches_one_that_had_removed_itself() -> None:
    """What decided to do nothing decides anew."""

    class Once(Middleware):
        removed = True

        def apply(self, callback: Callback, context: Context) -> Callback:
            del context
            return callback if self.removed else lambda **_: "wrapped"

    once = Once()
    stack = Stack([used(once)])
    call = bound(stack)
    before = call({"host": "web1"})
    once.removed = False
    kept = call({"host": "web1"})
    stack.reset()
    assert (before, kept, call({"host": "web1"})) == (["web1"], ["web1"], "wrapped")


def test_one_that_raises_when_applied_fails_the_call_by_name() -> None:
    """The reason names the middleware; the next call tries again."""

    class Breaks(Middleware):
        left = 1

        def apply(self, callback: Callback, context: Context) -> Callback:
            del context
            if self.left:
                self.left -= 1
                raise ValueError("not today")
            return callback

    call = bound(Stack([used(Breaks(), "breaks")]))
    with pytest.raises(PluginError, match=r"^middleware:breaks: ValueError: not today$"):
        call({"host": "web1"})
    assert call({"host": "web1"}) == ["web1"]


def test_one_that_gives_nothing_to_call_is_named() -> None:
    """A decorator that forgot its return."""
    with pytest.raises(PluginError, match=r"^middleware:forgot: apply gave None, wanted what to call$"):
        bound(Stack([used(lambda _: None, "forgot")]))({"host": "web1"})


def test_a_fault_of_middleware_is_told_from_one_of_the_plugin() -> None:
    """What the plugin raises comes out as it is, what its middleware raises with the name of that."""

    def faulty(callback: Callback) -> Callback:
        def wrapper(**kwargs: Any) -> Any:
            result = callback(**kwargs)
            return result["missing"]

        return wrapper

    plugin = eval("lambda host: {'none': 1}[host]", {"__name__": "of_another"})
    call = bound(Stack([used(faulty, "faulty")]), plugin)
    with pytest.raises(KeyError, match=r"web1"):
        call({"host": "web1"})
    with pytest.raises(PluginError, match=r"^middleware:faulty: TypeError: "):
        call({"host": "none"})


def test_what_tells_the_agent_something_passes_through() -> None:
    """Unavailable, Rejected and the like are no faults of middleware."""

    def holds(callback: Callback) -> Callback:
        def wrapper(**kwargs: Any) -> Any:
            callback(**kwargs)
            raise Unavailable("later")

        return wrapper

    with pytest.raises(Unavailable, match=r"^later$"):
        bound(Stack([used(holds)]))({"host": "web1"})


def test_it_may_add_arguments_that_it_says_it_provides() -> None:
    """A callback may name them; where it is skipped they are unknown, and the known ones are listed."""

    class Adds(Middleware):
        provides = ("db",)

        def apply(self, callback: Callback, context: Context) -> Callback:
            del context
            return lambda **kwargs: callback(db="a handle", **kwargs)

    stack = Stack([used(Adds(), "adds")])
    assert bound(stack, lambda host, db: (host, db))({"host": "web1"}) == ("web1", "a handle")
    with pytest.raises(PluginError, match=r"argument 'db', which is not offered; offered are host$"):
        bound(stack, lambda host, db: (host, db), wrapping=Wrapping(skip=("adds",)))


@pytest.mark.parametrize(
    ("wrapping", "told"),
    [
        (Wrapping(skip=("tell",)), r"skip: middleware 'tell' is not installed; installed are tells; perhaps"),
        (
            Wrapping(options={"retry": {}}),
            r"middleware 'retry' is not in use; in use, as \[plugins\] middleware says, are tells",
        ),
        (Wrapping(options={"tells": {"tim": 1}}), r"tells: no option 'tim'; there are times; perhaps: times"),
        (Wrapping(options={"tells": {"times": 10}}), r"tells: times: 10; allowed: integer from 1 to 9"),
        (Wrapping(options={"tells": {"times": "x"}}), r"tells: times: 'x'; allowed: integer from 1 to 9"),
        (Wrapping(options={"tells": {"times": True}}), r"tells: times: True; allowed: integer from 1 to 9"),
    ],
)
def test_what_a_source_cannot_say_is_named_with_its_place(wrapping: Wrapping, told: str) -> None:
    """File, line, value and what is allowed."""
    path = next(
        (("middleware", name, each) for name, its in wrapping.options.items() for each in its),
        ("middleware", "retry") if wrapping.options else ("skip", "tell"),
    )
    placed = Wrapping(
        wrapping.skip, options=wrapping.options, label="source 's'", place=Place("polling.yaml", {path: 7})
    )
    with pytest.raises(ConfigError, match=rf"^polling\.yaml:7: source 's': .*{told}"):
        Stack([used(Tells())]).check(placed)


def test_setup_sees_those_before_it_and_may_refuse() -> None:
    """A conflict is told as the reason, and the others are used."""
    seen: list[list[Any]] = []

    class Only(Tells):
        def setup(self, agent: InUse) -> None:
            seen.append([*agent.middleware])
            if any(isinstance(each, Only) for each in agent.middleware):
                raise PluginError("there is one already")

    one, two, three = Only("one"), Only("two"), Tells("three")
    made = [used(each, each.name) for each in (one, two, three)]
    found, refused = use(made, lambda others: InUse(others, None, None))
    assert [each.name for each in found] == ["one", "three"]
    assert refused == {"two": "there is one already"}
    assert seen == [[], [one]]


def test_setup_and_close_may_be_asynchronous_or_left_out() -> None:
    """They are waited for; a decorator has neither."""
    told = []

    class Waits:
        async def setup(self, agent: InUse) -> None:
            del agent
            told.append("set up")

        def apply(self, callback: Callback, context: Context) -> Callback:
            del context
            return callback

        async def close(self) -> None:
            told.append("closed")

    found, _ = use(
        [used(Waits()), used(lambda callback: callback, "plain")], lambda others: InUse(others, 1, 2)
    )
    Stack(found).close()
    assert told == ["set up", "closed"]


def test_one_that_hangs_in_its_close_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """It is named, and the agent ends."""

    class Hangs(Tells):
        def close(self) -> None:
            time.sleep(3)

    began = time.monotonic()
    Stack([used(Hangs())]).close()
    assert time.monotonic() - began < 2.5
    assert caplog.messages == ["middleware:tells failed to close: no answer within 1 s"]


def test_a_stack_closes_what_another_does_not_go_on_with() -> None:
    """In reverse; one that fails to is logged and holds up nobody."""
    told = []

    class Closes(Tells):
        def close(self) -> None:
            told.append(self.name)
            if self.name == "b":
                raise ValueError

    a, b, c = (used(Closes(name), name) for name in "abc")
    Stack([a, b, c]).close(after=Stack([c]))
    assert told == ["b", "a"]


def test_what_it_is_made_of_changes_with_what_concerns_a_source() -> None:
    """Another middleware, another option, other words of the source; not one that it skips."""
    one, two = used(Tells("one"), "one"), used(Tells("two"), "two")
    plain, skips = Wrapping(), Wrapping(skip=("two",))
    assert Stack([one]).made_of(plain) != Stack([one, two]).made_of(plain)
    assert Stack([one]).made_of(skips) == Stack([one, two]).made_of(skips)
    assert Stack([one]).made_of(plain) != Stack([one]).made_of(Wrapping(options={"one": {"times": 2}}))
    changed = used(one.object, "one", times=4)
    assert Stack([one]).made_of(plain) != Stack([changed]).made_of(plain)


def test_a_source_may_choose_the_plugins_that_it_is_put_around() -> None:
    """A list is written as one."""
    seen = []

    class Chooses(Middleware):
        options = (Option("plugins", ["pollster:*"]),)

        def apply(self, callback: Callback, context: Context) -> Callback:
            seen.append((context.options["plugins"], meant(context)))
            return callback

    chosen = Wrapping(options={"chooses": {"plugins": ["discovery:*", "pollster:net.*"]}})
    stack = Stack([used(Chooses(), "chooses")])
    stack.check(chosen)
    for wrapping in (chosen, Wrapping()):
        bound(stack, wrapping=wrapping)({"host": "web1"})
    assert seen == [(["discovery:*", "pollster:net.*"], False), (["pollster:*"], True)]
