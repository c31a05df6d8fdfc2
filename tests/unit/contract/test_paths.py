"""Which paths are tried of a template, beside those that are always tried: what looks like one in its files."""

from __future__ import annotations

from pathlib import Path

from scaffold.contract.serving import paths_in


def test_paths_are_found_as_servers_write_them(tmp_path: Path) -> None:
    texts = {
        "haproxy.cfg": "use_backend b if { path_beg /time } # so / is no path\n",
        "conf/nginx.conf": "location = /orders/v1 {\nlocation ~ ^/by-pattern {\n",
        "App.cs": 'app.MapGet("/items/{id}", Item); // https://host/not-this\n',
        "app.py": "ROUTES = {'/quoted': 1}\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert set(paths_in(tmp_path / name for name in texts)) == {
        "/time",
        "/orders/v1",
        "/by-pattern",
        "/items/",
        "/quoted",
    }


def test_there_are_no_more_than_can_be_tried_and_files_of_this_machine_come_last(tmp_path: Path) -> None:
    (tmp_path / "many").write_text("/bin/sh\n" + "".join(f"/number-{number}\n" for number in range(1000)))
    found = paths_in([tmp_path / "many"])
    assert (len(found), "/number-0" in found, "/bin/sh" in found) == (50, True, False)
