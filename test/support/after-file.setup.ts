import { endFiles } from './after-file.js';

endFiles();
