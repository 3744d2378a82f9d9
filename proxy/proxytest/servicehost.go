package proxytest

// A serviceHost is a host of a network that a service runs on.
type serviceHost struct {
	network *Network
	name    string
	server  *Server // nil while the service has crashed
}

// Host has a host of the network, such as "items" or "10.0.0.1:8080", run a service, which may run
// on several. While the service has crashed the host refuses connections, and in a dead zone whoever
// dials it waits. The host is there until the test is over. Host ends the test at once if the host
// and port are taken.
func (n *Network) Host(host string, s *Service) {
	n.t.Helper()
	s.injecting.Lock()
	defer s.injecting.Unlock()
	h := &serviceHost{network: n, name: host, server: n.Serve(host, s)}
	s.hosts = append(s.hosts, h)
	h.apply(s, s.Faults())
}

// apply makes the host fail as the faults say.
func (h *serviceHost) apply(s *Service, f Faults) {
	h.network.setDead(h.name, f.Dead)
	switch {
	case f.Crash && h.server != nil:
		h.server.Close()
		h.server = nil
	case !f.Crash && h.server == nil:
		h.server = h.network.Serve(h.name, s)
	}
}
