"""Worker processes end, however the program does."""

import os
import signal
import time

import pytest

# The end -------------------------------------------------------------------------------------------------------------


ENDINGS = {
    "early break": """
        for batch in DataLoader(Numbers(1000), num_workers=2):
            break
        """,
    "an iterator that lives on": """
        alive = iter(DataLoader(Numbers(1000), num_workers=2))
        next(alive)
        """,
    "persistent workers that live on": """
        loader = DataLoader(Numbers(1000), num_workers=2, persistent_workers=True)
        next(iter(loader))
        """,
    "two loaders at once": """
        for a, b in zip(DataLoader(Numbers(6), num_workers=2), DataLoader(Numbers(100), num_workers=2)):
            assert a.tolist() == b.tolist()
        """,
    "a loader that was never asked": """
        alive = iter(DataLoader(Numbers(1000), num_workers=2))
        """,
    "workers in the middle of a long sample": """
        start = time.monotonic()
        alive = iter(DataLoader(Sleeper(1000), num_workers=2))
        assert next(alive).tolist() == [0]
        del alive
        assert time.monotonic() - start < 10
        """,
    "workers that will not hear": """
        import signal
        def deaf(i):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        alive = iter(DataLoader(Sleeper(1000), num_workers=2, worker_init_fn=deaf, multiprocessing_context="fork"))
        assert next(alive).tolist() == [0]
        """,
    "a parent with a handler of its own": """
        import signal
        signal.signal(signal.SIGTERM, lambda *_: None)
        alive = iter(DataLoader(Sleeper(1000), num_workers=2, multiprocessing_context="fork"))
        assert next(alive).tolist() == [0]
        """,
    "large requests and large answers": """
        texts = ["x" * 1000] * 3000
        loader = DataLoader(texts, batch_size=1000, sampler=[i % 3000 for i in range(200_000)], num_workers=1,
                            prefetch_factor=4, multiprocessing_context="fork")
        assert sum(len(b) for b in loader) == 200_000
        huge = DataLoader(Numbers(), batch_sampler=[[1] * 500_000] * 4, num_workers=1, prefetch_factor=4,
                          collate_fn=list)
        assert [len(b) for b in huge] == [500_000] * 4
        next(iter(huge))
        """,
    "a thread beside a fork": """
        import threading, warnings
        threading.Thread(target=time.sleep, args=(1,)).start()
        warnings.simplefilter("ignore")
        assert len(list(DataLoader(Numbers(), num_workers=2, multiprocessing_context="fork"))) == 10
        """,
    "many epochs": """
        for _ in range(8):
            assert len(list(DataLoader(Numbers(3), num_workers=2))) == 3
        assert len(os.listdir("/proc/self/fd" if os.path.exists("/proc/self/fd") else "/dev/fd")) < 20
        """,
    "kernels used before and after a fork": """
        x = mg.randn(200, 200)
        (x @ x).sum()
        products = list(DataLoader(TensorDataset(x), batch_size=100, num_workers=2, collate_fn=None))
        assert len(products) == 2
        (x @ x).sum()
        """,
}


@pytest.mark.parametrize("name", ENDINGS)
def test_the_program_ends(program, name):
    program.run("", ENDINGS[name])


def test_what_was_asked_in_a_broken_epoch_does_not_come_in_the_next(program):
    program.run(
        "",
        """
        loader = DataLoader(Numbers(50), num_workers=2, prefetch_factor=4, persistent_workers=True)
        for stop in (0, 1, 7):
            for i, batch in enumerate(loader):
                assert batch.tolist() == [i]
                if i == stop:
                    break
        assert listed(loader) == [[i] for i in range(50)]
        """,
    )


@pytest.mark.parametrize("persistent", [False, True])
def test_ctrl_c(program, persistent):
    process = program.start(
        "",
        f"""
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts with it ignored
        loader = iter(DataLoader(Sleeper(), num_workers=2, persistent_workers={persistent}))
        print(next(loader).item(), flush=True)
        next(loader)
        """,
    )
    assert process.stdout.readline() == "0\n"
    time.sleep(0.2)
    begin = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, err = program.finish(process, 20)
    assert time.monotonic() - begin < 10
    assert err.strip().endswith("KeyboardInterrupt")
    assert err.count("Traceback") == 1  # the workers say nothing


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_do_not_outlive_a_killed_parent(program, method):
    process = program.start(
        "",
        f"""
        loader = iter(DataLoader(Numbers(1000), num_workers=2, multiprocessing_context="{method}"))
        print(next(loader).item(), flush=True)
        time.sleep(60)
        """,
    )
    assert process.stdout.readline() == "0\n"
    process.kill()
    program.finish(process, 20)
