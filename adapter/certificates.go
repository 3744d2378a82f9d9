package adapter

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

const defaultCertificateInterval = 5 * time.Second

// CertificatesSpec says which files hold the certificates of a server, and how often they are checked for
// changes.
type CertificatesSpec struct {
	// Pairs are the certificates of the server with their keys, at least one. A handshake gets the first
	// pair that suits the client's server name and algorithms, or the first of all if none does.
	Pairs []CertificatePair

	// ClientCAs are PEM files with the certificate authorities whose client certificates are accepted
	// (mTLS). Each holds one certificate or more. Empty leaves ClientAuth and ClientCAs to the config given
	// to [Certificates.TLS].
	ClientCAs []string

	// Interval is how often the files are checked. 0 means 5 s. A negative value is an error.
	Interval time.Duration

	// Report, unless nil, is called with the reason why changed files were not used: once for each change,
	// on the goroutine of Run. What was loaded before stays in use. A panic in it has no effect.
	Report func(error)
}

// A CertificatePair names two PEM files.
type CertificatePair struct {
	Certificate string // the certificate of the server first, then those between it and the root
	Key         string // its private key
}

// Certificates are the certificates of a server. They are read from files, and read again when the files
// change, so a renewed certificate needs no restart. A Certificates is a [Runner]: give it to [Run]
// together with the servers that use it:
//
//	certs, err := adapter.LoadCertificates(adapter.CertificatesSpec{
//		Pairs: []adapter.CertificatePair{{Certificate: "tls.crt", Key: "tls.key"}},
//	})
//	…
//	err = adapter.Run(ctx, adapter.Server{Addr: ":443", TLS: certs.TLS(nil), Handler: router}, certs)
//
// A file has changed if its modification time, its size or the file behind its name is another one. So
// writing in place, renaming and changing a symbolic link all work. A pair is loaded as a whole. If it is
// missing, half-written or does not match, the old pair stays in use, Report is called, and the pair is
// tried again at each check. The dates of a certificate are not checked: watch its expiry elsewhere. Open
// connections keep their certificate.
//
// Its methods are safe for concurrent use. Without Run, the certificates stay as loaded.
type Certificates struct {
	interval time.Duration
	report   func(error)
	files    []*watchedFiles
	pairs    []*atomic.Pointer[tls.Certificate]
	clients  atomic.Pointer[x509.CertPool] // nil without ClientCAs
}

// LoadCertificates reads the files of spec. If a file cannot be read or a pair does not match, the error
// joins the reasons. It starts nothing: see [Certificates.Run].
func LoadCertificates(spec CertificatesSpec) (*Certificates, error) {
	c := &Certificates{interval: spec.Interval, report: spec.Report}
	var errs []error
	if len(spec.Pairs) == 0 {
		errs = append(errs, errors.New("adapter: certificates: there is no pair"))
	}
	if c.interval < 0 {
		errs = append(errs, fmt.Errorf("adapter: certificates: the interval is %v", c.interval))
	}
	if c.interval == 0 {
		c.interval = defaultCertificateInterval
	}
	for _, pair := range spec.Pairs {
		loaded := new(atomic.Pointer[tls.Certificate])
		c.pairs = append(c.pairs, loaded)
		c.watch(func() error {
			cert, err := tls.LoadX509KeyPair(pair.Certificate, pair.Key)
			if err == nil {
				loaded.Store(&cert)
			}
			return err
		}, pair.Certificate, pair.Key)
	}
	if len(spec.ClientCAs) > 0 {
		c.watch(func() error {
			pool, err := loadPool(spec.ClientCAs)
			if err == nil {
				c.clients.Store(pool)
			}
			return err
		}, spec.ClientCAs...)
	}
	for _, w := range c.files {
		errs = append(errs, w.look())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

func loadPool(paths []string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	for _, path := range paths {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no certificate in it", path)
		}
	}
	return pool, nil
}

// Run checks the files at each interval until ctx ends, and then returns nil.
func (c *Certificates) Run(ctx context.Context) error {
	ticker := time.NewTicker(c.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		for _, w := range c.files {
			if err := w.look(); err != nil {
				c.tell(err)
			}
		}
	}
}

// tell calls the hook.
func (c *Certificates) tell(err error) {
	if c.report == nil {
		return
	}
	defer func() { _ = recover() }() // a hook must not end the servers
	c.report(err)
}

// GetCertificate is a function for tls.Config.GetCertificate. It never fails.
func (c *Certificates) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	first := c.pairs[0].Load()
	if len(c.pairs) == 1 {
		return first, nil
	}
	for _, pair := range c.pairs {
		if cert := pair.Load(); hello.SupportsCertificate(cert) == nil {
			return cert, nil
		}
	}
	return first, nil
}

// TLS returns a clone of base, or a new config if base is nil, that takes its certificates from c. Call it
// once for each server.
//
// With ClientCAs in the spec, each handshake also uses their newest state. Then a zero ClientAuth of base
// becomes [tls.VerifyClientCertIfGiven], NextProtos become those of HTTP/2 and HTTP/1.1 unless set, and a
// GetConfigForClient of base is replaced. A session is resumed only if its certificate is still accepted.
func (c *Certificates) TLS(base *tls.Config) *tls.Config {
	config := &tls.Config{}
	if base != nil {
		config = base.Clone()
	}
	if config.MinVersion == 0 {
		config.MinVersion = tls.VersionTLS12
	}
	config.Certificates, config.GetCertificate = nil, c.GetCertificate
	clients := c.clients.Load()
	if clients == nil {
		return config
	}
	if config.ClientAuth == tls.NoClientCert {
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	if config.NextProtos == nil {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	config.ClientCAs, config.GetConfigForClient = clients, nil
	var newest atomic.Pointer[tls.Config]
	newest.Store(config.Clone())
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		have, clients := newest.Load(), c.clients.Load()
		if have.ClientCAs != clients {
			have = have.Clone()
			have.ClientCAs = clients
			newest.Store(have)
		}
		return have, nil
	}
	return config
}

// watchedFiles are files that are loaded together. They are looked at by one goroutine at a time.
type watchedFiles struct {
	paths []string
	load  func() error
	seen  []os.FileInfo // before the last load; nil for a file that could not be found
	err   error         // of the last load
}

func (c *Certificates) watch(load func() error, paths ...string) {
	c.files = append(c.files, &watchedFiles{paths: paths, load: load})
}

// look loads the files if they have changed or could not be loaded. It returns an error that it has
// not returned for the same state of the files before.
func (w *watchedFiles) look() error {
	now := make([]os.FileInfo, len(w.paths)) // before the load: what changes meanwhile is seen the next time
	for i, path := range w.paths {
		now[i], _ = os.Stat(path) // load tells what is wrong
	}
	changed := w.changed(now)
	if !changed && w.err == nil {
		return nil
	}
	told := w.err
	w.seen, w.err = now, w.load()
	if w.err == nil || !changed && told != nil && told.Error() == w.err.Error() {
		return nil
	}
	return fmt.Errorf("adapter: certificates: %s: %w", strings.Join(w.paths, ", "), w.err)
}

func (w *watchedFiles) changed(now []os.FileInfo) bool {
	if w.seen == nil {
		return true
	}
	for i, was := range w.seen {
		is := now[i]
		if (was == nil) != (is == nil) || was != nil && (!os.SameFile(was, is) || !was.ModTime().Equal(is.ModTime()) || was.Size() != is.Size()) {
			return true
		}
	}
	return false
}
