// One GitHub emulator on loopback: `node emulator.mjs LANES`. The first line of stdin is the seed as JSON; each line
// after it is the command `reset`. Answers are lines of JSON on stdout. It ends when stdin does, so it can't outlive its
// parent.
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const say = (answer) => process.stdout.write(JSON.stringify(answer) + '\n')

const freePort = () =>
  new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })

const { createEmulator } = await import(
  pathToFileURL(join(process.argv[2], 'node_modules', 'emulate', 'dist', 'api.js')).href
)
const port = await freePort() // told to it, since it writes its own address into what it answers
const hostname = '127.0.0.1'
const create = (seed) => createEmulator({ service: 'github', port, hostname, baseUrl: `http://${hostname}:${port}`, seed })

let seed, github
for await (const line of createInterface({ input: process.stdin })) {
  if (!github) {
    seed = JSON.parse(line)
    github = await create(seed)
    const secrets = github.generatedSecrets
    // Kept, or each renewal would make other keys.
    for (const app of seed.github.apps) app.private_key = secrets.find(({ id }) => id === String(app.app_id)).value
    say({ url: github.url, secrets })
  } else if (line === 'reset') {
    // Its own reset() would leave what is used of the rate limits: 5,000 requests a token, then none for an hour.
    await github.close()
    github = await create(seed)
    say({ done: line })
  } else {
    say({ error: `no command ${line}` })
  }
}
await github?.close()
process.exit(0)
