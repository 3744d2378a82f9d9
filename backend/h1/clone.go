package h1

// Clone returns a transport with the same fields, whose connections are its own. They share the
// Fallback.
func (t *Transport) Clone() *Transport {
	c := &Transport{
		MaxConns:        t.MaxConns,
		MaxIdle:         t.MaxIdle,
		IdleTimeout:     t.IdleTimeout,
		MaxLife:         t.MaxLife,
		MaxHeaderBytes:  t.MaxHeaderBytes,
		DialTimeout:     t.DialTimeout,
		TLSTimeout:      t.TLSTimeout,
		ContinueTimeout: t.ContinueTimeout,
		Address:         t.Address,
		Dial:            t.Dial,
		Fallback:        t.Fallback,
	}
	if t.TLS != nil {
		c.TLS = t.TLS.Clone()
	}
	return c
}
