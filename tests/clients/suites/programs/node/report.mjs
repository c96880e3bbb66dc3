// A check's answer, or its error, as a line that the runner reads.
export async function check(test, ask) {
  try {
    const answer = await ask();
    console.log(JSON.stringify({ test, answer: answer === undefined ? null : answer }));
  } catch (error) {
    const told = error.parent ?? error.cause ?? error;
    console.log(JSON.stringify({ test, error: `${told.code ?? ""} ${String(told.message).split("\n")[0]}` }));
  }
}

// Where the server is: libpq's variables.
export const where = {
  host: process.env.PGHOST, port: Number(process.env.PGPORT), user: process.env.PGUSER,
  database: process.env.PGDATABASE,
};
