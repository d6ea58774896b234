"""Instances made in C are those that Django makes of the same rows."""

import gc
import weakref

import pytest
from django.apps.registry import Apps
from django.db import models
from django.db.models import F, Value, base
from django.db.models.signals import ModelSignal, post_init, pre_init

from quintette import _quintette
from quintette.db import makers
from quintette.db.compiled.selection import objects_of

# Of their own, under the label of an installed application: only its models have reverse relations.
REGISTRY = Apps(["django.contrib.contenttypes"])


class Place(models.Model):
    name = models.CharField(max_length=20)
    picture = models.FileField()

    class Meta:
        apps, app_label = REGISTRY, "contenttypes"


class Owner(models.Model):
    name = models.CharField(max_length=20)
    home = models.ForeignKey(Place, models.CASCADE, null=True, related_name="owners")

    class Meta:
        apps, app_label = REGISTRY, "contenttypes"


class Cafe(Place):
    owner = models.OneToOneField(Owner, models.CASCADE, related_name="cafe")
    rival = models.ForeignKey("self", models.CASCADE, null=True)

    class Meta:
        apps, app_label = REGISTRY, "contenttypes"


class WatchedPlace(Place):
    class Meta:
        apps, app_label = REGISTRY, "contenttypes"
        proxy = True


QUERYSETS = {
    "plain": Owner.objects.all,
    "file": Place.objects.all,
    "inherited": Cafe.objects.all,
    "proxy": WatchedPlace.objects.all,
    "deferred": lambda: Cafe.objects.defer("owner", "name"),
    "only": lambda: Owner.objects.only("home"),
    "foreign key": lambda: Owner.objects.select_related("home"),
    "both deferred": lambda: Owner.objects.select_related("home").only("name", "home__name"),
    "nested": lambda: Cafe.objects.select_related("owner__home", "rival__owner"),
    "reverse": lambda: Owner.objects.select_related("cafe", "home"),
    "child": lambda: Place.objects.select_related("cafe__owner"),
    "annotated": lambda: Owner.objects.annotate(one=Value(1), same=F("name")),
    "annotated, related": lambda: Owner.objects.select_related("home").annotate(one=Value(1)),
}  # fmt: skip


def prepared(queryset):
    compiler = queryset.query.get_compiler(using="default")
    compiler.as_sql()
    return compiler


def rows_of(compiler):
    """One without NULL, one of NULL but for the first column, one of which every other is NULL."""
    width = len(compiler.select)
    full = tuple(range(100, 100 + width))
    return [full, (1,) + (None,) * (width - 1), tuple(n if n % 2 else None for n in full)]


def picture(instance, seen=None):
    """All that there is in it, in its order, with the instances that belong to it."""
    seen = {} if seen is None else seen
    if not isinstance(instance, models.Model):
        return repr(instance)
    if id(instance) in seen:
        return seen[id(instance)]
    seen[id(instance)] = len(seen)
    state = instance._state
    return (
        type(instance),
        [(k, type(v), str(v)) for k, v in instance.__dict__.items() if k != "_state"],
        [(k, repr(v)) for k, v in state.__dict__.items() if k != "fields_cache"],
        type(state),
        [(name, picture(other, seen)) for name, other in state.fields_cache.items()],
        sorted(instance.get_deferred_fields()),
    )


def by_django(queryset, compiler, rows):
    return objects_of(queryset, compiler, rows, "default")


def in_c(queryset, rows=None):
    compiler = prepared(queryset)
    maker = makers.maker_of(queryset, compiler, "default")
    return maker.make_all(rows or rows_of(compiler)) if maker and maker.is_usable() else None


@pytest.mark.parametrize("name", QUERYSETS)
def test_as_django_makes_them(name):
    queryset = QUERYSETS[name]()
    compiler = prepared(queryset)
    rows = rows_of(compiler)
    expected = by_django(queryset, compiler, rows)
    made = in_c(queryset, [list(row) for row in rows])
    assert list(map(picture, made)) == list(map(picture, expected))
    assert next(iter(made[0].__dict__)) == "_state"
    assert not made[0]._state.adding
    assert made[0]._state.db == "default"


def test_they_belong_to_each_other():
    queryset = Owner.objects.select_related("cafe")
    owner, *_ = in_c(queryset)
    assert owner.cafe.owner is owner


def test_nothing_stays_behind():
    queryset = Cafe.objects.select_related("owner__home")
    cafe = in_c(queryset)[0]
    gone = weakref.ref(cafe), weakref.ref(cafe.owner)
    del cafe
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


# --- where Django's ways are not all there is -------------------------------------------


def test_peers_are_djangos():
    queryset = Owner.objects.all()
    if not hasattr(queryset, "fetch_mode"):
        pytest.skip("Django has no fetch modes")
    peers = queryset.fetch_mode(models.FETCH_PEERS)
    assert makers.maker_of(peers, prepared(peers), "default") is None
    raising = queryset.fetch_mode(models.FETCH_RAISE).only("name")
    (owner, *_) = in_c(raising)
    assert owner._state.fetch_mode is models.FETCH_RAISE


def test_other_iterables_are_djangos():
    queryset = Owner.objects.values("id")
    assert makers.maker_of(queryset, prepared(queryset), "default") is None


class Init(models.Model):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)

    class Meta:
        apps, app_label = REGISTRY, "contenttypes"


class FromDb(models.Model):
    @classmethod
    def from_db(cls, *args, **kwargs):
        return super().from_db(*args, **kwargs)

    class Meta:
        apps, app_label = REGISTRY, "contenttypes"


class New(models.Model):
    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    class Meta:
        apps, app_label = REGISTRY, "contenttypes"


class SetAttr(models.Model):
    def __setattr__(self, name, value):
        super().__setattr__(name, value)

    class Meta:
        apps, app_label = REGISTRY, "contenttypes"


class Behind:
    def __init__(self):
        self.behind = True


class MixedIn(models.Model, Behind):
    class Meta:
        apps, app_label = REGISTRY, "contenttypes"


class ToWays(models.Model):
    to = models.ForeignKey(Init, models.CASCADE)

    class Meta:
        apps, app_label = REGISTRY, "contenttypes"


@pytest.mark.parametrize(
    "queryset",
    [
        *[model.objects.all() for model in (Init, FromDb, New, SetAttr, MixedIn)],
        ToWays.objects.select_related("to"),
    ],
    ids=lambda queryset: queryset.model.__name__,
)
def test_a_models_own_ways(queryset):
    assert in_c(queryset) is None


@pytest.mark.parametrize("signal", [pre_init, post_init])
def test_receivers(signal):
    seen = []

    def receiver(sender, **kwargs):
        seen.append(sender)

    queryset = Owner.objects.all()
    signal.connect(receiver, sender=Place)
    try:
        assert in_c(queryset) is not None
        signal.connect(receiver, sender=Owner)
        assert in_c(queryset) is None
    finally:
        signal.disconnect(receiver, sender=Owner)
        signal.disconnect(receiver, sender=Place)
    assert in_c(queryset) is not None
    assert seen == []


def other(*args, **kwargs):
    raise AssertionError("not to be called")


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (base.Model, "__init__"),
        (base.Model, "from_db"),
        (base.ModelState, "__init__"),
        (post_init, "send"),
        (makers.ModelIterable, "__iter__"),
        (makers.FieldCacheMixin, "set_cached_value"),
        (makers.ForeignKeyDeferredAttribute, "__set__"),
    ],
    ids=str,
)
def test_what_is_patched_is_called(owner, name, monkeypatch):
    queryset = Owner.objects.all()
    compiler = prepared(queryset)
    maker = makers.maker_of(queryset, compiler, "default")
    monkeypatch.setattr(owner, name, classmethod(other) if name == "from_db" else other)
    assert not maker.is_usable()


def test_a_signals_class_is_patched(monkeypatch):
    queryset = Owner.objects.all()
    compiler = prepared(queryset)
    maker = makers.maker_of(queryset, compiler, "default")
    monkeypatch.setattr(ModelSignal, "send", other)
    assert not maker.is_usable()


# --- faults -----------------------------------------------------------------------------


def test_short_rows():
    queryset = Owner.objects.select_related("home")
    maker = makers.maker_of(queryset, prepared(queryset), "default")
    with pytest.raises(ValueError, match="too few columns"):
        maker.make_all([(1, 2)])


@pytest.mark.parametrize(
    "change",
    [
        {"fields": (("id", -1, True),)},
        {"fields": (("id", 1 << 40, True),)},
        {"fields": ((1, 0, True),)},
        {"annotations": (("a",),)},
        {"related": (("maker", 0, "a", "b"),)},
    ],
)
def test_malformed(change):
    whole = {"fields": (), "related": (), "annotations": (), **change}
    with pytest.raises((TypeError, ValueError)):
        _quintette.ModelMaker(Owner, base.ModelState, "default", None, **whole)
