// Asks a project one question, by the client that the argument names, with what an output holds:
//
//   node client.mjs pg|postgres|prisma|drizzle|drizzle-postgres     with the URI in ADDRESS
//   node client.mjs supabase-js|supabase-server                     with SUPABASE_URL and so on
//
// Prints the client's version and the answer, joined by a tab.

import { generateKeyPairSync, sign } from "node:crypto";
import { readFileSync } from "node:fs";

const question = "select ssl || ' ' || 6 * 7 as answer from pg_stat_ssl where pid = pg_backend_pid()";
const address = process.env.ADDRESS;

const version = (name) => {
  const file = new URL(`./node_modules/${name}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(file, "utf8")).version;
};

const clients = {
  async pg() {
    const { default: pg } = await import("pg");
    const client = new pg.Client({ connectionString: address, connectionTimeoutMillis: 10_000 });
    await client.connect();
    const { rows } = await client.query(question);
    await client.end();
    return [version("pg"), rows[0].answer];
  },
  async postgres() {
    const { default: postgres } = await import("postgres");
    const sql = postgres(address, { max: 1, connect_timeout: 10 });
    const [row] = await sql.unsafe(question);
    await sql.end();
    return [version("postgres"), row.answer];
  },
  async prisma() {
    const { PrismaPg } = await import("@prisma/adapter-pg");
    const { PrismaClient } = (await import("@prisma/client")).default;
    const client = new PrismaClient({ adapter: new PrismaPg({ connectionString: address }) });
    const [row] = await client.$queryRawUnsafe(question);
    await client.$disconnect();
    return [version("@prisma/client"), row.answer];
  },
  async drizzle() {
    const { drizzle } = await import("drizzle-orm/node-postgres");
    const db = drizzle(address);
    const { rows } = await db.execute(question);
    await db.$client.end();
    return [version("drizzle-orm"), rows[0].answer];
  },
  async "drizzle-postgres"() {
    const { drizzle } = await import("drizzle-orm/postgres-js");
    const db = drizzle(address);
    const [row] = await db.execute(question);
    await db.$client.end();
    return [version("drizzle-orm"), row.answer];
  },
  async "supabase-js"() {
    const { createClient } = await import("@supabase/supabase-js");
    gateway();
    const { SUPABASE_URL: url, SUPABASE_PUBLISHABLE_KEY: key } = process.env;
    const { data, error } = await createClient(url, key).from("answers").select();
    if (error) throw new Error(error.message);
    return [version("@supabase/supabase-js"), data[0].answer];
  },
  async "supabase-server"() {
    const { withSupabase } = await import("@supabase/server");
    const token = gateway();
    const serve = withSupabase({ auth: ["user", "secret"] }, async (_, { supabase, supabaseAdmin, authMode }) => {
      const { data, error } = await (authMode === "user" ? supabase : supabaseAdmin).from("answers").select();
      if (error) throw new Error(error.message);
      return Response.json(`${authMode}: ${data[0].answer}`);
    });
    const ask = async (headers) => {
      const answer = await serve(new Request("https://app.example/", { headers }));
      if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
      return answer.json();
    };
    const asUser = await ask({ authorization: `Bearer ${token}` });
    const asServer = await ask({ apikey: process.env.SUPABASE_SECRET_KEY });
    return [version("@supabase/server"), `${asUser}, ${asServer}`];
  },
};

// The interfaces of a project as far as clients need them here, below the address that the output holds: nothing else can be
// reached. Gives the token of a signed-in user, signed with a key that only its JWKS shows.
function gateway() {
  const url = process.env.SUPABASE_URL;
  const keys = [process.env.SUPABASE_PUBLISHABLE_KEY, process.env.SUPABASE_SECRET_KEY];
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  globalThis.fetch = async (input, init) => {
    const request = new Request(input, init);
    if (request.url === `${url}/auth/v1/.well-known/jwks.json`) {
      return Response.json({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: "1", alg: "ES256", use: "sig" }] });
    }
    if (request.url.startsWith(`${url}/rest/v1/answers?`) && keys.includes(request.headers.get("apikey"))) {
      return Response.json([{ answer: "42" }]);
    }
    return Response.json({ message: `nobody answers ${request.url} with this key` }, { status: 401 });
  };
  const part = (object) => Buffer.from(JSON.stringify(object)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: `${url}/auth/v1`, sub: "11111111-1111-4111-8111-111111111111", aud: "authenticated",
    role: "authenticated", iat: now, exp: now + 600 };
  const signed = `${part({ alg: "ES256", typ: "JWT", kid: "1" })}.${part(claims)}`;
  const signature = sign("sha256", Buffer.from(signed), { key: privateKey, dsaEncoding: "ieee-p1363" });
  return `${signed}.${signature.toString("base64url")}`;
}

try {
  console.log((await clients[process.argv[2]]()).join("\t"));
  process.exit(0);
} catch (error) {
  console.error([error.message, error.cause?.message, error.code].filter(Boolean).join(": "));
  process.exit(1);
}
