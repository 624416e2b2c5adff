// Everything @lakehouse-rs/flight-sql-client can ask of a server, as one JSON object. Argument: HOST:PORT.
import { createFlightSqlClient } from "@lakehouse-rs/flight-sql-client";
import { tableFromIPC } from "apache-arrow";

const [host, port] = process.argv[2].split(":");
const headers = [{ key: "x-athena-database", value: "tpch" }];
const client = await createFlightSqlClient({ host, port: Number(port), tls: false, headers, username: "any", password: "any" });
const table = async (buffer) => tableFromIPC(await buffer);
const said = {};
said.rows = (await table(client.query("select n_name, n_nationkey from nation where n_nationkey < 2 order by 1"))).toArray();
said.catalogs = (await table(client.getCatalogs())).toArray();
said.schemas = (await table(client.getDbSchemas({}))).toArray();
said.tables = (await table(client.getTables({ tableNameFilterPattern: "n%", includeSchema: true }))).toArray();
said.error = await client.query("select nope from nation").catch((error) => error.message);
said.after = (await table(client.query("select 1 as one"))).numRows;
console.log(JSON.stringify(said, (_, value) => (typeof value === "bigint" ? Number(value) : value)));
