// Certificates for tests: an authority, and what it issues.

import { generateKeyPairSync, randomBytes } from 'node:crypto'
import forge from 'node-forge'

export interface Certificate {
  /** PEM. */
  cert: string
  key: string
}

export interface Authority extends Certificate {
  /** A server's certificate for host names and IP addresses. */
  issue(names: string[], options?: { isExpired?: boolean }): Certificate
}

const DAY_MS = 86_400_000

export function makeAuthority(name = 'Annals test authority'): Authority {
  const { pem, publicKey, privateKey } = makeKey()
  const subject = [{ name: 'commonName', value: name }]
  const certificate = makeCertificate({ publicKey, subject, issuer: subject, isExpired: false })
  certificate.setExtensions([
    { name: 'basicConstraints', cA: true, critical: true },
    { name: 'keyUsage', keyCertSign: true },
  ])
  certificate.sign(privateKey, forge.md.sha256.create())
  return {
    cert: forge.pki.certificateToPem(certificate),
    key: pem,
    issue(names, { isExpired = false } = {}) {
      const own = makeKey()
      const issued = makeCertificate({
        publicKey: own.publicKey,
        subject: [{ name: 'commonName', value: names[0] as string }],
        issuer: subject,
        isExpired,
      })
      const altNames = names.map((each) => (/^[\d.]+$|:/.test(each) ? { type: 7, ip: each } : { type: 2, value: each }))
      issued.setExtensions([{ name: 'subjectAltName', altNames }])
      issued.sign(privateKey, forge.md.sha256.create())
      return { cert: forge.pki.certificateToPem(issued), key: own.pem }
    },
  }
}

// Node makes keys in a tenth of the time.
function makeKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = privateKey.export({ type: 'pkcs1', format: 'pem' }) as string
  const key = forge.pki.privateKeyFromPem(pem)
  return { pem, privateKey: key, publicKey: forge.pki.setRsaPublicKey(key.n, key.e) }
}

function makeCertificate(options: {
  publicKey: forge.pki.PublicKey
  subject: forge.pki.CertificateField[]
  issuer: forge.pki.CertificateField[]
  isExpired: boolean
}): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = options.publicKey
  certificate.serialNumber = `01${randomBytes(8).toString('hex')}`
  certificate.validity.notBefore = new Date(Date.now() - 10 * DAY_MS)
  certificate.validity.notAfter = new Date(Date.now() + (options.isExpired ? -1 : 10) * DAY_MS)
  certificate.setSubject(options.subject)
  certificate.setIssuer(options.issuer)
  return certificate
}
