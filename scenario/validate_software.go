package scenario

func (v *validator) ports()    {}
func (v *validator) network()  {}
func (v *validator) routing()  {}
func (v *validator) commands() {}
