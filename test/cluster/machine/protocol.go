package machine

// Spec says what a machine is.
type Spec struct {
	// Name is its host name.
	Name string `json:"name"`
	// Dir holds what the machine writes to /run, /var/lib, /var/log, /opt and
	// /etc. It is absolute, and below none of these.
	Dir string `json:"dir"`
	// Shown are files that the machine sees with other content than the
	// host's, by path; they must exist.
	Shown map[string]string `json:"shown,omitempty"`
}

// Process is a program to run on a machine for as long as it wants.
type Process struct {
	// Name tells it from the machine's other processes.
	Name string `json:"name"`
	// Args are the path of the program and its arguments.
	Args []string `json:"args"`
	// Env is its environment; PATH and HOME have values unless it names them.
	Env []string `json:"env,omitempty"`
	// Log is the file to which its output is appended.
	Log string `json:"log"`
}

// request is a line to the machine. One field is set.
type request struct {
	Spec  *Spec    `json:"spec,omitempty"`
	Start *Process `json:"start,omitempty"`
}

// report is a line from the machine. Each request is answered in turn by one
// without Ended; those with Ended come between.
type report struct {
	Error string `json:"error,omitempty"`
	// Ended is the name of a process that came to its end, and Status how.
	Ended  string `json:"ended,omitempty"`
	Status string `json:"status,omitempty"`
}

// connectionFD is where a machine finds its end of the connection.
const connectionFD = 3
