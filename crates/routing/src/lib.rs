//! From numbers and load to a ranked plan of gateways with its explanation.
