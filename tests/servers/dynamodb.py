"""moto's emulator of DynamoDB."""

from __future__ import annotations

import http.client
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from hardsession.stores import Store
from hardsession.stores.dynamodb import DynamoDBStore

from . import PATIENCE, Server

# The emulator looks at a condition and writes in two steps. DynamoDB does not let others in between; here no thread
# gives way to another but where it waits, and it waits for nothing there. The server names itself by its process.
_SERVE = """
import os, sys
from moto import server

server.MotoRequestHandler.server_version = str(os.getpid())
sys.setswitchinterval(3600)
server.main()
"""

_LIST_TABLES = {
    "X-Amz-Target": "DynamoDB_20120810.ListTables",
    "Content-Type": "application/x-amz-json-1.0",
    "Authorization": "AWS4-HMAC-SHA256 Credential=ours/20261124/eu-central-1/dynamodb/aws4_request",
}

ACCESS = {"region_name": "eu-central-1", "aws_access_key_id": "ours", "aws_secret_access_key": "nobody's"}


class DynamoDB(Server):
    """moto's emulator, which keeps nothing on the disk."""

    program = str(Path(sys.executable).with_name("moto_server"))
    package = "moto of Python"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [sys.executable, "-c", _SERVE, "--host", "127.0.0.1", "--port", str(self.port)]

    def answers(self) -> bool:
        # The emulator loads what it needs for DynamoDB with the first question about it, which takes a while.
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            connection.request("POST", "/", b"{}", _LIST_TABLES)
            answer = connection.getresponse()
            return answer.status == 200 and str(self.pid) in answer.getheader("Server", "").split()

    def client(self, **config: Any) -> Any:
        """A client that does not try again."""
        return boto3.client("dynamodb", endpoint_url=self.url, config=self.config(**config), **ACCESS)

    def resource(self, **config: Any) -> Any:
        """A resource, whose client does not try again."""
        return boto3.resource("dynamodb", endpoint_url=self.url, config=self.config(**config), **ACCESS)

    def config(self, **config: Any) -> Config:
        config = {"connect_timeout": PATIENCE, "read_timeout": PATIENCE, "retries": {"total_max_attempts": 1}} | config
        return Config(**config)

    def empty(self) -> None:
        """Remove all tables."""
        client = self.client()
        for table in client.list_tables()["TableNames"]:
            client.delete_table(TableName=table)

    def empty_store(self) -> Store:
        self.empty()
        store = DynamoDBStore(self.client())
        store.get("k")  # makes the table
        return store
