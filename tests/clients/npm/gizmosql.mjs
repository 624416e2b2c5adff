// Everything @gizmodata/gizmosql-client can ask of a server, as one JSON object. Argument: HOST:PORT.
import { FlightSQLClient } from "@gizmodata/gizmosql-client";

const [host, port] = process.argv[2].split(":");
const client = new FlightSQLClient({ host, port: Number(port), plaintext: true, username: "any", password: "any" });
const said = {};
said.rows = (await client.execute("select n_name, n_nationkey from tpch.nation where n_nationkey < 2 order by 1")).toArray();
said.empty = (await client.execute("select n_name from tpch.nation where n_nationkey < 0")).schema.fields.map((field) => field.name);
said.info = Object.fromEntries(await client.getSqlInfo([0, 8]));
said.all = (await client.getSqlInfo([])).size;
said.catalogs = await client.getCatalogs();
said.schemas = await client.getSchemas("AwsDataCatalog");
said.tables = await client.getTables(undefined, "tpch", "n%");
said.types = await client.getTableTypes();
said.error = await client.execute("select nope from tpch.nation").catch((error) => error.message);
said.after = (await client.execute("select 1 as one")).numRows;
await client.close();
console.log(JSON.stringify(said, (_, value) => (typeof value === "bigint" ? Number(value) : value)));
