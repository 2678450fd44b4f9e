BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE hpo_ledger (
	entry INTEGER NOT NULL, 
	study VARCHAR(512) NOT NULL, 
	configuration TEXT NOT NULL, 
	code_version VARCHAR(200) NOT NULL, 
	time DOUBLE NOT NULL, 
	reason TEXT NOT NULL, 
	PRIMARY KEY (entry)
);
CREATE TABLE hpo_report (
	study_id INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	trial_number INTEGER NOT NULL, 
	auc DOUBLE NOT NULL, 
	standard_error DOUBLE, 
	fold_aucs TEXT NOT NULL, 
	training_auc DOUBLE, 
	training_loss DOUBLE, 
	seconds DOUBLE NOT NULL, 
	PRIMARY KEY (study_id, epoch, trial_number), 
	FOREIGN KEY(study_id) REFERENCES hpo_study (study_id) ON DELETE CASCADE
);
INSERT INTO "hpo_report" VALUES(1,1,0,7.00000372000000092853e-01,0.02,'[0.7000003720000001, 0.7000003720000001]',0.7,0.3,0.01);
INSERT INTO "hpo_report" VALUES(1,2,0,0.750000372,0.02,'[0.750000372, 0.750000372]',0.7,0.3,0.01);
INSERT INTO "hpo_report" VALUES(1,3,0,7.66667038666666744717e-01,0.02,'[0.7666670386666667, 0.7666670386666667]',0.7,0.3,0.01);
INSERT INTO "hpo_report" VALUES(1,4,0,0.775000372,0.02,'[0.775000372, 0.775000372]',0.7,0.3,0.01);
INSERT INTO "hpo_report" VALUES(1,1,1,0.800000162,0.02,'[0.800000162, 0.800000162]',0.7,0.3,0.01);
INSERT INTO "hpo_report" VALUES(1,2,1,0.850000162,0.02,'[0.850000162, 0.850000162]',0.7,0.3,0.01);
INSERT INTO "hpo_report" VALUES(1,3,1,8.66666828666666666514e-01,0.02,'[0.8666668286666667, 0.8666668286666667]',0.7,0.3,0.01);
INSERT INTO "hpo_report" VALUES(1,4,1,0.875000162,0.02,'[0.875000162, 0.875000162]',0.7,0.3,0.01);
INSERT INTO "hpo_report" VALUES(1,1,2,7.66052777536585405293e-01,0.02,'[0.7660527775365854, 0.7660527775365854]',0.7,0.3,0.01);
INSERT INTO "hpo_report" VALUES(1,2,2,8.1605277753658533868e-01,0.02,'[0.8160527775365853, 0.8160527775365853]',0.7,0.3,0.01);
INSERT INTO "hpo_report" VALUES(1,3,2,8.32719444203252057157e-01,0.02,'[0.8327194442032521, 0.8327194442032521]',0.7,0.3,0.01);
INSERT INTO "hpo_report" VALUES(1,4,2,8.41052777536585360884e-01,0.02,'[0.8410527775365854, 0.8410527775365854]',0.7,0.3,0.01);
INSERT INTO "hpo_report" VALUES(1,1,3,0.61,0.02,'[0.5, 0.6]',0.7,0.3,0.01);
CREATE TABLE hpo_study (
	study_id INTEGER NOT NULL, 
	name VARCHAR(512) NOT NULL, 
	spec TEXT NOT NULL, 
	fingerprint VARCHAR(16) NOT NULL, 
	trials INTEGER NOT NULL, 
	created_at DOUBLE NOT NULL, 
	code_version VARCHAR(200) NOT NULL, 
	PRIMARY KEY (study_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id) ON DELETE CASCADE
);
INSERT INTO "hpo_study" VALUES(1,'old study','{"dataset":"breast","scoring":{"rows":"kfold","folds":5,"repeats":1,"share":0.2,"seed":0},"search":{"sampler":"tpe","startup_trials":4,"seed":0,"pruner":"none","first_rung":4,"reduction":3,"references":true,"max_failed_share":0.5},"budget":{"trials":6,"epochs":4},"fixed":{"schedule":"constant"},"space":{"learning_rate":{"kind":"float","low":0.0001,"high":0.3,"log":true},"weight_decay":{"kind":"float","low":1e-6,"high":0.01,"log":true},"loss":{"kind":"choices","choices":["aucm_v1","cross_entropy"]},"margin":{"kind":"float","low":0.1,"high":1.0,"log":false},"batch_size":{"kind":"choices","choices":[32,64,128]}}}','240d29a82be191a5',6,1.79536307495701169967e+09,'0.1.0');
CREATE TABLE hpo_trial (
	study_id INTEGER NOT NULL, 
	place INTEGER NOT NULL, 
	trial_number INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	worker VARCHAR(255), 
	fence INTEGER NOT NULL, 
	lease_until DOUBLE, 
	progress DOUBLE NOT NULL, 
	started DOUBLE NOT NULL, 
	ended DOUBLE, 
	outcome VARCHAR(16), 
	reason TEXT, 
	reference VARCHAR(64), 
	epoch INTEGER, 
	auc DOUBLE, 
	standard_error DOUBLE, 
	record TEXT, 
	PRIMARY KEY (study_id, place), 
	FOREIGN KEY(study_id) REFERENCES hpo_study (study_id) ON DELETE CASCADE
);
INSERT INTO "hpo_trial" VALUES(1,0,0,1,'finished','w',1,NULL,1.0,1795363074.99298,1.79536307501901102063e+09,'complete',NULL,'medmnist-cross-entropy',4,0.775000372,0.02,'{"config": {"loss": "cross_entropy", "margin": 1.0, "cross_entropy_share": 0.0, "optimizer": "adam", "learning_rate": 0.001, "momentum": 0.1, "epoch_decay": 0.003, "reference_weights": "noise", "weight_decay": 0.0, "clip": 0.0, "schedule": "step", "batch_size": 128, "batching": "random", "positive_share": 0.5, "augmentation": "none", "augmentation_strength": 0.5, "shape_multiplier": true, "weight_average": "none", "ema_decay": 0.99, "swa_start": 0.5, "resplit": "official", "resplit_share": 0.15, "input_size": 28, "precision": "auto"}, "params": {}, "study_seed": 0, "trial_seed": 25482695, "code_version": "abc1234", "dirty": false, "environment": {"torch": "0.0"}, "data_md5": "d41d8", "seconds": 0.02366191600003731, "peak_memory": 1024}');
INSERT INTO "hpo_trial" VALUES(1,1,1,2,'finished','w',1,NULL,1.0,1.7953630750520019531e+09,1.79536307507400965692e+09,'complete',NULL,'libauc-as-it-comes',4,0.875000162,0.02,'{"config": {"loss": "aucm_v1", "margin": 1.0, "cross_entropy_share": 0.0, "optimizer": "sgd", "learning_rate": 0.01, "momentum": 0.1, "epoch_decay": 0.003, "reference_weights": "noise", "weight_decay": 0.0001, "clip": 1.0, "schedule": "step", "batch_size": 128, "batching": "random", "positive_share": 0.5, "augmentation": "none", "augmentation_strength": 0.5, "shape_multiplier": true, "weight_average": "none", "ema_decay": 0.99, "swa_start": 0.5, "resplit": "official", "resplit_share": 0.15, "input_size": 28, "precision": "auto"}, "params": {}, "study_seed": 0, "trial_seed": 1980904567, "code_version": "abc1234", "dirty": false, "environment": {"torch": "0.0"}, "data_md5": "d41d8", "seconds": 0.020347573000208286, "peak_memory": 1024}');
INSERT INTO "hpo_trial" VALUES(1,2,2,3,'finished','w',1,NULL,1.0,1.79536307508998203277e+09,1.79536307518601870539e+09,'complete',NULL,NULL,4,8.41052777536585360884e-01,0.02,'{"config": {"loss": "cross_entropy", "margin": 1.0, "cross_entropy_share": 0.0, "optimizer": "sgd", "learning_rate": 0.004576393766364975, "momentum": 0.1, "epoch_decay": 0.003, "reference_weights": "noise", "weight_decay": 1.8106531101308598e-06, "clip": 1.0, "schedule": "constant", "batch_size": 64, "batching": "random", "positive_share": 0.5, "augmentation": "none", "augmentation_strength": 0.5, "shape_multiplier": true, "weight_average": "none", "ema_decay": 0.99, "swa_start": 0.5, "resplit": "none", "resplit_share": 0.15, "input_size": 28, "precision": "auto"}, "params": {"loss": "cross_entropy", "learning_rate": 0.004576393766364975, "weight_decay": 1.8106531101308598e-06, "batch_size": 64}, "study_seed": 0, "trial_seed": 712844472, "code_version": "abc1234", "dirty": false, "environment": {"torch": "0.0"}, "data_md5": "d41d8", "seconds": 0.028399308000189194, "peak_memory": 1024}');
INSERT INTO "hpo_trial" VALUES(1,3,3,4,'claimed','killed',1,1.79536313520601463313e+09,0.25,1.79536307520500874523e+09,NULL,NULL,NULL,NULL,1,0.61,0.02,NULL);
CREATE TABLE hpo_version (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "hpo_version" VALUES(1);
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'old study');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MAXIMIZE',1,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_system_attributes" VALUES(1,1,'study:metric_names','["validation AUC"]');
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,1,1,7.00000372000000092853e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,1,2,0.750000372,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(3,1,3,7.66667038666666744717e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(4,1,4,0.775000372,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(5,2,1,0.800000162,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(6,2,2,0.850000162,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(7,2,3,8.66666828666666666514e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(8,2,4,0.875000162,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(9,3,1,7.66052777536585405293e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(10,3,2,8.1605277753658533868e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(11,3,3,8.32719444203252057157e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(12,3,4,8.41052777536585360884e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(13,4,1,0.61,'FINITE');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'loss',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["aucm_v1", "cross_entropy"]}}');
INSERT INTO "trial_params" VALUES(2,1,'learning_rate',0.001,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.3, "log": true}}');
INSERT INTO "trial_params" VALUES(3,1,'weight_decay',1.0e-06,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(4,1,'batch_size',2.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [32, 64, 128]}}');
INSERT INTO "trial_params" VALUES(5,2,'loss',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["aucm_v1", "cross_entropy"]}}');
INSERT INTO "trial_params" VALUES(6,2,'margin',1.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.1, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(7,2,'learning_rate',0.01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.3, "log": true}}');
INSERT INTO "trial_params" VALUES(8,2,'weight_decay',0.0001,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(9,2,'batch_size',2.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [32, 64, 128]}}');
INSERT INTO "trial_params" VALUES(10,3,'loss',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["aucm_v1", "cross_entropy"]}}');
INSERT INTO "trial_params" VALUES(11,3,'learning_rate',4.57639376636497473282e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.3, "log": true}}');
INSERT INTO "trial_params" VALUES(12,3,'weight_decay',1.81065311013085984987e-06,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-06, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(13,3,'batch_size',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [32, 64, 128]}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'reference','"medmnist-cross-entropy"');
INSERT INTO "trial_user_attributes" VALUES(2,1,'outside the space','{"optimizer": "adam", "clip": 0.0, "schedule": "step", "resplit": "official", "weight_decay": 0.0}');
INSERT INTO "trial_user_attributes" VALUES(3,1,'seconds','0.02366191600003731');
INSERT INTO "trial_user_attributes" VALUES(4,1,'worker','"w"');
INSERT INTO "trial_user_attributes" VALUES(5,1,'standard_error','0.02');
INSERT INTO "trial_user_attributes" VALUES(6,2,'reference','"libauc-as-it-comes"');
INSERT INTO "trial_user_attributes" VALUES(7,2,'outside the space','{"schedule": "step", "resplit": "official"}');
INSERT INTO "trial_user_attributes" VALUES(8,2,'seconds','0.020347573000208286');
INSERT INTO "trial_user_attributes" VALUES(9,2,'worker','"w"');
INSERT INTO "trial_user_attributes" VALUES(10,2,'standard_error','0.02');
INSERT INTO "trial_user_attributes" VALUES(11,3,'seconds','0.028399308000189194');
INSERT INTO "trial_user_attributes" VALUES(12,3,'worker','"w"');
INSERT INTO "trial_user_attributes" VALUES(13,3,'standard_error','0.02');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,0.775000372,'FINITE');
INSERT INTO "trial_values" VALUES(2,2,0,0.875000162,'FINITE');
INSERT INTO "trial_values" VALUES(3,3,0,8.41052777536585360884e-01,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-22 15:57:54.962238','2026-11-22 15:57:55.029592');
INSERT INTO "trials" VALUES(2,1,1,'COMPLETE','2026-11-22 15:57:55.037588','2026-11-22 15:57:55.078133');
INSERT INTO "trials" VALUES(3,2,1,'COMPLETE','2026-11-22 15:57:55.082680','2026-11-22 15:57:55.192878');
INSERT INTO "trials" VALUES(4,3,1,'RUNNING','2026-11-22 15:57:55.198257',NULL);
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
CREATE UNIQUE INDEX hpo_trial_number ON hpo_trial (study_id, trial_number);
COMMIT;
