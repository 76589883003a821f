# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A double of a Juju controller: its websocket with a private authority, login, and the facades that a series upgrade is asked by."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from tests.juju.double_model import NUMBERS

MODEL = "deadbeef-0bad-400d-8000-4b1d0d06f00d"
FLAVOURS = {
    "2.9": ("2.9.21", {"MachineManager": [2, 3, 4, 5, 6], "UpgradeSeries": [1, 2, 3], "Client": [1, 2, 3, 4], "Pinger": [1]}),
    "3.6": ("3.6.28", {"MachineManager": [9, 10], "UpgradeSeries": [3, 4], "Client": [6, 7, 8], "Pinger": [1]}),
    "4.0": ("4.0.15", {"MachineManager": [11], "Client": [8], "Pinger": [1]}),
}
PERMISSION = ("permission denied", "unauthorized access", None)


class Refused(Exception):
    """An answer of the outer layer: message, code, info."""


class DoubleController:
    """flavour: "2.9", "3.6" or "4.0". users: {name: (password, "read" or "write")}. Runs in threads of the test."""

    def __init__(self, model, certificate, flavour="3.6"):
        self.model, self.users = model, {"operator": ("operator-secret", "write"), "looker": ("looker-secret", "read")}
        self.version, self.facades = FLAVOURS[flavour]
        self.calls, self.logins = [], []
        self.discharge = False
        self.moved_to = None
        self.talks = threading.Event()  # cleared: it takes requests, and answers when it is set again
        self.talks.set()
        self.cut_after = set()  # methods that are done, and whose answer is then lost, once each
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*map(str, certificate))
        self._listening, self._port = threading.Event(), 0
        self._loop, self._end = asyncio.new_event_loop(), None
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._serve()], daemon=True)

    async def _serve(self):
        self._end = asyncio.Event()
        async with serve(self._converse, "127.0.0.1", 0, ssl=self._context, max_size=2**20, close_timeout=0.2) as server:
            self._port = server.sockets[0].getsockname()[1]
            self._listening.set()
            await self._end.wait()

    def __enter__(self):
        self.model.start()
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(self, *_error):
        self.talks.set()
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()
        self.model.stop()

    @property
    def url(self):
        return f"wss://localhost:{self._port}"

    def did(self, method):
        """The arguments of all calls of this method so far."""
        return [params for called, params in self.calls if called == method]

    async def _converse(self, socket):
        who, last = None, self.model.now()
        try:
            async for text in socket:
                asked = json.loads(text)
                while not self.talks.is_set():
                    await asyncio.sleep(0.01)
                if self.model.now() - last > 180:
                    return  # silent for three minutes: dropped
                last = self.model.now()
                told = {"request-id": asked["request-id"]}
                try:
                    if asked["type"] == "Admin":
                        told["response"], who = self._login(socket, asked)
                    else:
                        told["response"] = self._dispatch(who, asked)
                except Refused as refused:
                    message, code, info = refused.args
                    told.update({"error": message, "error-code": code}, **({"error-info": info} if info else {}))
                if asked["request"] in self.cut_after:
                    self.cut_after.discard(asked["request"])
                    return
                await socket.send(json.dumps(told))
        except ConnectionClosed:
            pass

    def _login(self, socket, asked):
        params = asked["params"]
        self.logins.append(params)
        if asked["request-id"] == 0 or asked["version"] != 3 or asked["request"] != "Login":
            raise Refused(f'unknown version ({asked["version"]}) of interface "Admin"', "not implemented", None)
        if socket.request.path != f"/model/{MODEL}/api":
            raise Refused(f"unknown model: {socket.request.path.split('/')[2]!r}", "model not found", None)
        if self.moved_to:
            raise Refused("redirection to alternative server required", "redirection required",
                          {"servers": [[{"value": self.moved_to, "port": 17070, "type": "ipv4", "scope": "local-cloud"}]], "ca-cert": "..."})
        if self.discharge:
            return {"discharge-required": {"id": "..."}, "discharge-required-error": "needed"}, None
        name = params["auth-tag"].partition("-")[2]
        if name not in self.users or self.users[name][0] != params["credentials"]:
            raise Refused("invalid entity name or password", "unauthorized access", None)
        facades = [{"name": facade, "versions": versions} for facade, versions in sorted(self.facades.items())]
        return {"controller-tag": "controller-1", "model-tag": f"model-{MODEL}", "servers": [], "server-version": self.version, "facades": facades,
                "user-info": {"display-name": name, "identity": f"user-{name}", "controller-access": "login", "model-access": self.users[name][1]}}, {
                    "name": name, "major": params["client-version"].partition(".")[0]}

    def _dispatch(self, who, asked):
        facade, version, method, params = asked["type"], asked["version"], asked["request"], asked["params"]
        if who is None:
            raise Refused("not logged in", "unauthorized access", None)
        if version not in self.facades.get(facade, ()):
            raise Refused(f'unknown version ({version}) of interface "{facade}"', "not implemented", None)
        if who["major"] != self.version.partition(".")[0] and (facade, method) not in (("Client", "FullStatus"), ("Pinger", "Ping")):
            raise Refused("client is not compatible with this controller", "incompatible client", None)
        if facade == "UpgradeSeries":
            raise Refused(*PERMISSION)  # listed to users, open to machine agents alone
        answer = getattr(self, f"_{facade}_{method}", None)
        if answer is None or (method.startswith("UpgradeSeries") and version not in range(5, 11)):
            raise Refused(f"no such request - method {facade}({version}).{method} is not implemented", "not implemented", None)
        self.calls.append((method, params))
        with self.model.turn:
            return answer(who, version, params)

    # Client

    def _Pinger_Ping(self, who, version, params):
        return {}

    def _Client_FullStatus(self, who, version, params):
        return {"model": {"name": "double", "version": self.version}, "machines": self._machines(version, ""), "applications": self._applications(),
                "remote-applications": {}, "relations": [], "branches": {}}

    def _machines(self, version, within):
        found = {}
        for machine in self.model.machines.values():
            if machine.id.rpartition("/")[0].rpartition("/")[0] == within:
                release = {"series": machine.series} if version < 6 else {"base": {"name": "ubuntu", "channel": NUMBERS[machine.series] + "/stable"}}
                found[machine.id] = {"id": machine.id, "instance-status": {"status": "running", "info": machine.info}, **release,
                                     "agent-status": {"status": "started" if machine.up else "down"}, "containers": self._machines(version, machine.id)}
        return found

    def _applications(self):
        found = {}
        for unit in self.model.units.values():
            told = {"agent-status": {"status": unit.agent if unit.alive and self.model.machines[unit.machine].up else "lost", "info": ""},
                    "workload-status": {"status": unit.workload, "info": ""}, "subordinates": {}}
            if self.model.leases[unit.application].holder == unit.name and not self.model.lease_store_fails:
                told["leader"] = True  # left out when false
            if unit.subordinate_to:
                told["machine"] = ""
                owner = unit.subordinate_to.rpartition("/")[0]
                found[owner]["units"][unit.subordinate_to]["subordinates"][unit.name] = told
                found.setdefault(unit.application, {"units": None})
            else:
                told["machine"] = unit.machine
                found.setdefault(unit.application, {"units": {}})["units"][unit.name] = told
        return found

    # MachineManager

    def _series(self, version, params):
        if version >= 9:
            track = params.get("channel", "").partition("/")[0]
            return next((series for series, number in NUMBERS.items() if number == track), track), "base"
        return params.get("series", ""), "series"

    def _machine(self, params):
        identity = params["tag"]["tag"].partition("-")[2].replace("-", "/")
        return self.model.machines.get(identity), {"message": f"machine {identity} not found", "code": "not found"}

    def _MachineManager_UpgradeSeriesValidate(self, who, version, params):
        return {"Results": [self._validated(version, one) for one in params["args"]]}

    def _validated(self, version, params):
        machine, missing = self._machine(params)
        if machine is None:
            return {"error": missing}
        error = self.model.refusal(machine, *self._asked(version, params)) or self.model.not_ready(machine)
        return {"error": error} if error else {"unit-names": [unit.name for unit in self.model.units.values() if unit.machine == machine.id]}

    def _asked(self, version, params):
        series, words = self._series(version, params)
        return series, params["force"], words

    def _MachineManager_UpgradeSeriesPrepare(self, who, version, params):
        self._may_write(who)
        machine, missing = self._machine(params)
        if not self._series(version, params)[0]:
            return {"error": {"message": f"{'channel' if version >= 9 else 'series'} missing from args", "code": "bad request"}}
        error = missing if machine is None else self.model.refusal(machine, *self._asked(version, params))
        if error:
            return {"error": error}
        machine.lock, machine.info = "prepare started", "Container started"
        return {}

    def _MachineManager_UpgradeSeriesComplete(self, who, version, params):
        self._may_write(who)
        machine, missing = self._machine(params)
        if machine is None:
            return {"error": missing}
        if machine.lock != "prepare completed":
            return {"error": {"message": f'machine "{machine.id}" can not complete, it is either not prepared or already completed', "code": ""}}
        machine.lock = "complete started"
        return {}

    def _may_write(self, who):
        if self.users[who["name"]][1] != "write":
            raise Refused(*PERMISSION)
