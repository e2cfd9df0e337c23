"""A stand-in for BigQuery's Storage Read API over gRPC; Google's own client calls it.

Written from the service's public messages, not compared with the running service. It gives Arrow only, in two
streams. A stream breaks off once, as the service's do, and must be resumed at the same row.
"""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pyarrow as pa
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

from doubles.bigquery import PROJECT, Table

TYPES = {"STRING": pa.string(), "FLOAT64": pa.float64(), "INT64": pa.int64()}
BATCH = 100  # rows


class Storage:
    """The service, as a context manager."""

    def __init__(self, tables: dict[str, Table]) -> None:
        self.tables = tables  # by project.dataset.table
        self.streams: dict[str, pa.Table] = {}
        self.read: list[tuple[str, int]] = []  # calls: a stream and the first row

    def __enter__(self):
        self.threads = ThreadPoolExecutor(4)
        self.server = grpc.server(self.threads)
        handlers = {
            "CreateReadSession": grpc.unary_unary_rpc_method_handler(
                self.create_session,
                types.CreateReadSessionRequest.deserialize,
                types.ReadSession.serialize,
            ),
            "ReadRows": grpc.unary_stream_rpc_method_handler(
                self.read_rows, types.ReadRowsRequest.deserialize, types.ReadRowsResponse.serialize
            ),
        }
        service = "google.cloud.bigquery.storage.v1.BigQueryRead"
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        return self

    def __exit__(self, *_):
        self.server.stop(None).wait()
        self.threads.shutdown()

    def client(self) -> BigQueryReadClient:
        """Google's client, connected to this service."""
        channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")
        return BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))

    def create_session(self, request, context):
        session = request.read_session
        parts = session.table.split("/")
        name = ".".join(parts[1::2])
        if parts[::2] != ["projects", "datasets", "tables"] or name not in self.tables:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Not found: Table {session.table}")
        if request.parent != f"projects/{PROJECT}":
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "bigquery.readsessions.create")
        if session.data_format != types.DataFormat.ARROW or session.read_options.row_restriction:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this double gives whole tables, as Arrow")
        table = arrow(self.tables[name])
        fields = [*session.read_options.selected_fields] or table.column_names
        table = table.select(fields)
        half = len(table) // 2
        session.name = f"projects/{PROJECT}/locations/us/sessions/s{len(self.streams)}"
        for number, rows in enumerate((table[half:], table[:half])):  # not in the order of the table
            stream = f"{session.name}/streams/{number}"
            self.streams[stream] = rows
            session.streams.append(types.ReadStream(name=stream))
        session.arrow_schema.serialized_schema = table.schema.serialize().to_pybytes()
        return session

    def read_rows(self, request, context):
        is_resumed = any(stream == request.read_stream for stream, _ in self.read)
        self.read.append((request.read_stream, request.offset))
        rows = self.streams[request.read_stream][request.offset :]
        schema = {"serialized_schema": rows.schema.serialize().to_pybytes()}
        for batch in rows.to_batches(max_chunksize=BATCH):
            content = {"serialized_record_batch": batch.serialize().to_pybytes()}
            yield types.ReadRowsResponse(
                arrow_record_batch=content, arrow_schema=schema, row_count=len(batch)
            )
            schema = None  # only in the first answer
            if not is_resumed:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")


def arrow(table: Table) -> pa.Table:
    """The rows as Arrow."""
    columns = zip(*table.rows, strict=True)
    return pa.table(
        {
            name: pa.array(column, TYPES[kind])
            for (name, kind), column in zip(table.schema.items(), columns, strict=True)
        }
    )
