"""Worker processes make the same batches as no workers, and their errors arrive."""

import pytest

# The same batches ----------------------------------------------------------------------------------------------------


KEPT = {"num_workers": 2, "persistent_workers": True, "prefetch_factor": 5}


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("fork", [{"num_workers": 1}, {"num_workers": 3, "prefetch_factor": 1}, KEPT]),
        ("spawn", [KEPT]),
        ("forkserver", [KEPT]),
    ],
)
def test_the_order_is_that_without_workers(program, method, options):
    program.run(
        "",
        f"""
        def epochs(**options):
            generator = mg.Generator().manual_seed(7)
            loader = DataLoader(Numbers(23), batch_size=4, shuffle=True, generator=generator, **options)
            assert len(loader) == 6
            return [listed(loader) for _ in range(2)]

        expected = epochs()
        assert sorted(sum(expected[0], [])) == list(range(23))
        for options in {options}:
            assert epochs(**options, multiprocessing_context="{method}") == expected, options
        """,
    )


def test_arrays_come_whole_and_writable(program):
    program.run(
        "",
        """
        rng = np.random.default_rng(0)
        arrays = [rng.integers(0, 2, (40, 30, 100)).astype(d) for d in (mg.float32, mg.bfloat16, bool, mg.int64)]
        arrays.append(np.arange(40.0))
        dataset = TensorDataset(*map(wrap, arrays))
        batches = list(DataLoader(dataset, batch_size=16, num_workers=2))
        for i, array in enumerate(arrays):
            got = [batch[i].array for batch in batches]
            assert all(a.dtype == array.dtype and a.flags.writeable for a in got)
            assert np.array_equal(np.concatenate(got), array)
            got[0][...] = 0
        folder = "/dev/shm" if os.path.exists("/dev/shm") else "/tmp"
        assert len(os.listdir("/proc/self/fd" if os.path.exists("/proc/self/fd") else "/dev/fd")) < 20
        assert not [f for f in os.listdir(folder) if f.startswith(f"minigrad-{os.getpid()}-")]
        """,
    )


def test_free_order_loses_nothing(program):
    program.run(
        """
        class Uneven(Numbers):
            def __getitem__(self, i):
                time.sleep(0.2 if i == 0 else 0)
                return i
        """,
        """
        got = listed(DataLoader(Uneven(20), num_workers=2, in_order=False))
        assert sorted(sum(got, [])) == list(range(20))
        assert got[0] != [0]
        """,
    )


def test_streams_are_shared_by_number_and_end_unevenly(program):
    program.run(
        """
        class Shared(IterableDataset):
            def __iter__(self):
                info = get_worker_info()
                return iter(range(11)) if info is None else iter(range(11)[info.id :: info.num_workers])

        class First(IterableDataset):
            def __iter__(self):
                return iter(range(7 if get_worker_info().id == 1 else 0))
        """,
        """
        loader = DataLoader(Shared(), batch_size=2, num_workers=3, persistent_workers=True)
        expected = [[0, 3], [1, 4], [2, 5], [6, 9], [7, 10], [8]]
        assert [listed(loader), listed(loader)] == [expected, expected]
        assert listed(DataLoader(First(), batch_size=2, num_workers=3)) == [[0, 1], [2, 3], [4, 5], [6]]
        assert listed(DataLoader(First(), batch_size=2, num_workers=3, drop_last=True)) == [[0, 1], [2, 3], [4, 5]]
        """,
    )


SEEDED = """
class Seeded(Numbers):
    def __getitem__(self, i):
        import random
        info = get_worker_info()
        assert info.dataset is self and info.num_workers == 2
        default = mg.default_generator.uniform((1,)).item()
        return [info.id, info.seed, default, random.random(), np.random.random()]
"""


def test_each_worker_and_epoch_has_seeds_of_its_own_that_repeat(program):
    program.run(
        SEEDED,
        """
        def epochs(**options):
            mg.manual_seed(1)
            loader = DataLoader(Seeded(4), batch_size=None, num_workers=2, **options)
            return [list(loader) for _ in range(3)]

        samples = epochs()
        assert epochs() == samples
        assert epochs(persistent_workers=True) == samples
        flat = [s for epoch in samples for s in epoch]
        assert [s[0] for s in flat] == [0, 1, 0, 1] * 3
        assert len({s[1] for s in flat}) == 6
        for kind in (2, 3, 4):
            assert len({s[kind] for s in flat}) == 12
        """,
    )


def test_a_worker_init_fn_is_called_once_after_seeding(program):
    program.run(
        """
        def init(i):
            get_worker_info().dataset.offset = 100 * (i + 1)

        class Offset(Numbers):
            def __getitem__(self, i):
                assert mg.get_num_threads() == 1
                self.offset += 1
                return self.offset
        """,
        """
        loader = DataLoader(Offset(4), num_workers=2, worker_init_fn=init, persistent_workers=True)
        assert [listed(loader), listed(loader)] == [[[101], [201], [102], [202]], [[103], [203], [104], [204]]]
        """,
    )


# Errors --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strike", "caught", "text"),
    [
        ("raise ValueError('no such sample')", "ValueError", "ValueError: no such sample"),
        ("raise KeyError('no such key')", "KeyError", "\n  File "),
        ("raise UnicodeDecodeError('utf-8', b'', 0, 1, 'bad')", "RuntimeError", "UnicodeDecodeError"),
        ("raise type('Local', (Exception,), {})('unknown here')", "RuntimeError", "unknown here"),
        ("self.n.nowhere", "AttributeError", "in strike"),
    ],
)
def test_an_error_in_a_worker_is_raised_here_and_the_loader_goes_on(program, strike, caught, text):
    out = program.run(
        f"""
        class Faulty(Case):
            def strike(self):
                {strike}
        """,
        f"""
        loader = iter(DataLoader(Faulty(8), num_workers=2))
        got = []
        while len(got) < 8:
            try:
                got.append(next(loader).item())
            except {caught} as error:
                assert type(error) is {caught}
                print(error)
                got.append(-1)
        assert got == [0, 1, 2, 3, 4, -1, 6, 7]
        """,
    )
    assert "[DataLoader] worker 1 met an error" in out
    assert "Traceback (most recent call last)" in out
    assert text in out


def test_errors_outside_samples(program):
    program.run(
        """
        def init(i):
            raise OSError("no such disk")

        class NoStream(IterableDataset):
            def __iter__(self):
                raise ArithmeticError("no such stream")

        class Unsendable(Numbers):
            def __getitem__(self, i):
                return lambda: i
        """,
        """
        def message(error, **options):
            try:
                list(DataLoader(num_workers=2, **options))
            except error as caught:
                return str(caught)

        assert "no such disk" in message(OSError, dataset=Numbers(), worker_init_fn=init)
        assert "no such stream" in message(ArithmeticError, dataset=NoStream())
        assert "lambda" in message(Exception, dataset=Unsendable(), batch_size=None)

        def endless():
            yield 0
            raise LookupError("no such index")

        assert message(LookupError, dataset=Numbers(), sampler=endless()) == "no such index"
        """,
    )


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_what_cannot_be_sent_is_named(program, method):
    program.run(
        "",
        f"""
        def local():
            class Local(Numbers):
                pass
            return Local()

        try:
            list(DataLoader(local(), num_workers=2, multiprocessing_context="{method}"))
        except RuntimeError as error:
            assert "'{method}' cannot send" in str(error) and "Local" in str(error), error
        else:
            raise AssertionError("no error")
        """,
    )


@pytest.mark.parametrize(
    ("strike", "cause"),
    [
        ("os._exit(3)", "exit code 3"),
        ("sys.exit(4)", "exit code 4"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "signal SIGKILL (was memory short?)"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "signal SIGSEGV"),
    ],
)
@pytest.mark.parametrize("persistent", [False, True])
def test_a_dead_worker_is_noticed_at_once(program, strike, cause, persistent):
    program.run(
        f"""
        class Fatal(Case):
            def strike(self):
                {strike}
        """,
        f"""
        loader = DataLoader(Fatal(8), num_workers=2, persistent_workers={persistent})
        start = time.monotonic()
        for _ in range(2):  # the second time with new workers
            try:
                list(loader)
            except RuntimeError as error:
                assert "worker 1 (process " in str(error) and {cause!r} in str(error), error
            else:
                raise AssertionError("no error")
        assert time.monotonic() - start < 5
        """,
    )


def test_a_worker_that_dies_between_epochs_is_replaced_after_the_error(program):
    program.run(
        """
        class Named(Numbers):
            def __getitem__(self, i):
                return os.getpid()
        """,
        """
        loader = DataLoader(Named(4), batch_size=None, num_workers=2, persistent_workers=True)
        before = set(loader)
        os.kill(min(before), signal.SIGKILL)
        time.sleep(0.2)
        try:
            list(loader)
        except RuntimeError as error:
            assert "signal SIGKILL" in str(error), error
        else:
            raise AssertionError("no error")
        after = set(loader)
        assert len(after) == 2 and not before & after
        """,
    )


def test_timeout(program):
    program.run(
        "",
        """
        start = time.monotonic()
        try:
            list(DataLoader(Sleeper(), num_workers=2, timeout=0.3))
        except RuntimeError as error:
            assert "timed out: found no batch within 0.3 seconds" in str(error)
        assert 0.3 < time.monotonic() - start < 10
        """,
    )
